"""TLPs over a serial line: what a board without a PCI Express slot has in place of a link."""
