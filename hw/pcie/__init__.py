"""The endpoint's transaction layer: configuration space, completer, requester, transmit path."""
