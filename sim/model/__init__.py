"""The device again: untimed, in plain Python, written from the specifications.

:class:`~sim.model.device.Device` is the whole device between the TLPs that reach it and the host
that it reaches; :class:`~sim.model.transport.ModelTransport` lets driver code run on it.
"""
