"""A serial line between RTL and a host: whole bytes on the host's side, a pin on the device's."""
