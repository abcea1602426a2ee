"""Portals, work queues and the arbiter that hands their descriptors to the engine."""
