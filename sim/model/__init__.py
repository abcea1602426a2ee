"""The device again: untimed, in plain Python, written from the specifications.

:class:`~sim.model.device.Device` is the whole device between the TLPs that reach it and the host
that it reaches; :class:`~sim.model.transport.ModelTransport` lets driver code run on it.

| module | is |
|---|---|
| ``tlp``, ``wire`` | TLPs as records and as bytes |
| ``config_space``, ``completer`` | the endpoint: configuration space, error log, who is answered |
| ``messages`` | MSI-X table, permissions and interrupt message storage |
| ``queues``, ``commands``, ``registers``, ``engine`` | the programming model |
| ``device`` | all of it |
| ``host``, ``platform`` | what the device needs of a host, and the simulated one |
| ``clock``, ``transport`` | time that passes while everybody waits; the driver's transport |
| ``traffic`` | random TLPs, legal and not, and the comparison of answers |
"""
