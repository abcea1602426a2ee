"""Soak runs: everything at once, for as long as one likes, with a host that injects faults."""
