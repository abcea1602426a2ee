"""Rounds on the functional model."""

from driver.transport import Transport
from hw.regs.config import Config

from ..host.platform import Host
from ..model.host import HostError, ReadError
from ..model.platform import PlatformHost
from ..model.transport import ROUTING_ID, ModelTransport, run
from .play import Play, Progress
from .result import Round
from .stand import Faults

OPERATIONS = 300
ERRORS = {
    "ur": ReadError.UNSUPPORTED_REQUEST,
    "ca": ReadError.COMPLETER_ABORT,
    "poison": ReadError.POISONED,
    "lost": ReadError.TIMEOUT,
}


class UnkindHost(PlatformHost):
    """A host that lets reads fail."""

    def __init__(self, platform: Host, faults: Faults) -> None:
        super().__init__(platform, ROUTING_ID)
        self._faults = faults

    def dma_read(self, address: int, length: int, pasid: int | None) -> bytes:
        """Read host memory. Raises :class:`~sim.model.host.HostError`."""
        if kind := self._faults.look():
            raise HostError(ERRORS[kind], "so decided")
        return super().dma_read(address, length, pasid)


class ModelStand:
    """The functional model, as :class:`sim.soak.stand.Stand`."""

    def __init__(self, config: Config, seed: int) -> None:
        self.config, self.faults = config, Faults()
        model = ModelTransport(config, seed=seed, shuffle=True)
        self.transport: Transport = model
        self.host = model.platform
        model.device.host = UnkindHost(self.host, self.faults)

    async def complaints(self) -> list[str]:
        """Everything the device did wrong."""
        return self.host.check()


def on_model(seed: int, number: int, progress: Progress) -> Round:
    """Play a round."""

    async def play() -> Round:
        stand = ModelStand(Config(), seed)
        return await Play(stand, seed, number, OPERATIONS, progress).run()

    return run(play())
