"""Which descriptors an engine is to abandon."""

from amaranth.lib.wiring import Out, Signature

from ..regs import Config


class Abandon(Signature):
    """Which descriptors to abandon, seen from the side that says so.

    Members
    -------
    valid : ``Out(1)``
        Descriptors that match are abandoned, in whatever state they are.
    affected : ``Out(config.queues)``
        Those of these queues.
    by_pasid : ``Out(1)``, pasid : ``Out(20)``
        Of them only those with this PASID.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "valid": Out(1),
                "affected": Out(config.queues),
                "by_pasid": Out(1),
                "pasid": Out(20),
            }
        )
