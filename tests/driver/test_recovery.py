"""Halts on paper: which reset GENSTS asks for, and what is left after it."""

import pytest

from driver import Device, DeviceGone, DeviceHalted, QueueSettings, SettingsError, Timeouts
from hw.regs.commands import DeviceState, ResetType
from hw.regs.configspace import MSIX, PASID, PCIE

from .paper import PaperTransport, run

QUICK = Timeouts(command=10_000, drain=20_000, submit=5_000, reset=10_000)
FLR = 1 << 7
"""Initiate Function Level Reset, in the upper byte of Device Control."""


class Halting(PaperTransport):
    """A device that halts, and that a reset of the right kind brings back."""

    def __init__(self) -> None:
        super().__init__()
        self.resets: list[str] = []
        self.needed = ResetType.SOFTWARE

    def halt(self, needed: ResetType) -> None:
        self.needed = needed
        self.set("gensts", state=DeviceState.HALTED, reset_type=needed)

    def heal(self, kind: ResetType) -> None:
        self.resets.append(kind.name)
        if kind >= self.needed:
            self.set("gensts", state=DeviceState.DISABLED, reset_type=0)

    async def write(self, bar, offset, data):
        await super().write(bar, offset, data)
        if bar == 0 and offset == self.space.register("cmd").offset and data[2] >> 4 == 5:
            self.heal(ResetType.SOFTWARE)

    async def config_write(self, offset, value, size):
        await super().config_write(offset, value, size)
        if offset == PCIE + 8 and value >> 8 & FLR:
            self.heal(ResetType.FLR)


@pytest.fixture
def paper() -> Halting:
    return Halting()


@pytest.fixture
def device(paper) -> Device:
    device = run(Device.probe(paper, QUICK))
    paper.resets.clear()
    return device


def test_device_that_has_not_halted_is_not_recovered(paper, device):
    with pytest.raises(SettingsError, match="the device has not halted"):
        run(device.recover())
    assert not paper.resets


@pytest.mark.parametrize("needed", [ResetType.SOFTWARE, ResetType.FLR])
def test_least_reset_that_helps_is_used(paper, device, needed):
    queue = device.queues[0]
    run(queue.configure(QueueSettings(size=4)))
    free, before = device.free_vectors(), paper.interrupts()
    run(device.create_adi(queue, vectors=2))
    run(device.alloc_vector(lambda: None))
    paper.halt(needed)
    device.halted = True
    run(device.recover())
    assert paper.resets[0] == needed.name, "another reset came first"
    assert "FLR" not in paper.resets or needed is ResetType.FLR
    assert not device.halted and queue.settings is None
    assert device.free_vectors() == free and paper.interrupts() == before and not paper.pasids
    assert paper.config[4] & 6 == 6 and paper.config[MSIX + 3] & 0x80 and paper.config[PASID + 6]
    run(device.alloc_vector(lambda: None))


@pytest.mark.parametrize("needed", [ResetType.WARM, ResetType.COLD])
def test_halt_that_needs_a_reset_of_the_slot_is_left_alone(paper, device, needed):
    paper.halt(needed)
    with pytest.raises(DeviceHalted, match=f"only a {needed.name.lower()} reset of the slot"):
        run(device.recover())
    assert not paper.resets


def test_device_that_reads_as_all_ones_gets_a_function_level_reset(paper, device):
    device.halted = was = True
    paper.memory_answers = False
    with pytest.raises(DeviceGone):
        run(device.recover())
    assert paper.resets[0] == "FLR" and device.halted == was, "a silent device was called healthy"
