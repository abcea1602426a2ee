"""Inside the simulator: a round of a soak run."""

import random
from typing import Any

from driver.transport import Transport
from hw.regs.config import Config

from ..bench.cocotb_side import bench, parameters, progress
from ..host.port import LinkBehaviour
from ..host.root_complex import Behaviour
from ..host.rtl_transport import RtlTransport
from ..host.tlp import Tlp
from .play import Play
from .stand import Faults

OPERATIONS = 200


class RtlStand:
    """The RTL behind a root complex, as :class:`sim.soak.stand.Stand`."""

    def __init__(self, config: Config, transport: RtlTransport, faults: Faults) -> None:
        self.config, self.faults, self.host = config, faults, transport.host
        self.transport: Transport = transport
        self._finish = transport.finish

    async def complaints(self) -> list[str]:
        """Everything the device did wrong, once it has come to rest."""
        return await self._finish()


@bench(limit_cycles=200_000_000)
async def one_round(dut: Any) -> dict[str, Any]:
    """A round, with a host and a link as unkind as the round's seed says."""
    seed, number = parameters()["seed"], parameters()["number"]
    rng = random.Random(f"host {seed}/{number}")
    faults = Faults()

    def fault(_: Tlp) -> str | None:
        return faults.look()

    behaviour = Behaviour(
        split=rng.choice(("largest", "rcb", "random")),
        latency_cycles=rng.choice(((0, 0), (20, 200), (125, 125), (0, 600))),
        reorder=rng.random() < 0.5,
        read_completion_boundary=rng.choice((64, 128)),
        max_payload=rng.randrange(3),
        fault=fault,
    )
    pauses = rng.choice(((0, 0), (0, 0), (60, 60), (0, 150)))
    link = LinkBehaviour(down_pause=pauses[0], up_pause=pauses[1])
    config = Config()
    transport = await RtlTransport.open(dut, config=config, behaviour=behaviour, link=link)
    stand = RtlStand(config, transport, faults)
    found = await Play(stand, seed, number, OPERATIONS, progress).run()
    return found.to_json()
