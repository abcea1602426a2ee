"""Interrupt message storage in the host's memory, beside that on the device: :class:`.Storage`."""
