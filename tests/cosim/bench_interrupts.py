"""Message storage and its model side by side, under random traffic."""

import random

from hw.regs.bar0 import bar0
from hw.regs.config import Config
from sim.bench.cocotb_side import bench, cycles, parameters, progress
from sim.model.interrupts import Inputs, MessageStoreModel

from .interrupts_top import INPUTS, OUTPUTS


def offsets(layout):
    return {name: (field.offset, (1 << field.width) - 1) for name, field in layout}


IN, OUT = offsets(INPUTS), offsets(OUTPUTS)


def pack(x: Inputs) -> int:
    word = 0
    if x.event is not None:
        ims, index, completion = x.event
        event = index | ims << 14 | completion << 15
        word |= 1 << IN["event_valid"][0] | event << IN["event"][0]
    if x.check is not None:
        ims, index, pasid, enable = x.check
        check = index | ims << 14 | pasid << 15 | enable << 35
        word |= 1 << IN["check_valid"][0] | check << IN["check"][0]
    if x.access is not None:
        address, write, strobe, data = x.access
        access = address | write << 24 | strobe << 25 | data << 33
        word |= 1 << IN["access_valid"][0] | access << IN["access"][0]
    for name in ("message_ready", "verdict_ready", "result_ready"):
        word |= getattr(x, name) << IN[name][0]
    for name in ("enable", "function_mask", "bus_master", "reset_ims"):
        word |= getattr(x, name) << IN[name][0]
    return word


NOTHING = Inputs(message_ready=0, verdict_ready=0, result_ready=0, enable=0, bus_master=0)
"""What the registers in front of the store hold after reset."""


class Traffic:
    """Random inputs that obey the rules of streams, in phases of different character."""

    def __init__(self, config: Config, rng: random.Random):
        self.config, self.rng = config, rng
        self.space = bar0(config)
        self.x = Inputs(enable=0, bus_master=0)
        self.phase_left = 0
        self.waiting = False

    def new_phase(self):
        rng = self.rng
        self.phase_left = rng.choice((50, 500, 3000))
        self.rate = {
            name: rng.choice((0.02, 0.2, 0.5, 1.0)) for name in ("event", "check", "access")
        }
        self.pause = {name: rng.choice((0.0, 0.0, 0.0, 0.1, 0.5, 0.9)) for name in ("m", "v", "r")}
        self.toggles = rng.choice((0.0, 0.0, 0.0005, 0.005, 0.05))
        self.wipes = rng.choice((0.0, 0.0, 0.0, 0.001))
        if rng.random() < 0.5:
            self.rate["access"] = 0.005
        self.reads = rng.choice((0.1, 0.5, 0.9))
        self.completions = rng.choice((0.0, 0.5, 1.0))
        self.hot = [self.any_vector() for _ in range(rng.choice((1, 3, 20)))]

    def any_vector(self):
        ims = self.rng.getrandbits(1)
        count = self.config.ims_vectors if ims else self.config.msix_vectors
        # The ends are where aliases would show; a few do not exist at all.
        choice = self.rng.random()
        if choice < 0.1:
            return ims, 0
        if choice < 0.2:
            return ims, count - 1
        if choice < 0.25:
            return ims, self.rng.randrange(1 << 14)
        return ims, self.rng.randrange(count)

    def vector(self):
        return self.rng.choice(self.hot) if self.rng.random() < 0.8 else self.any_vector()

    def event(self):
        return (*self.vector(), int(self.rng.random() < self.completions))

    def check(self):
        rng = self.rng
        return (
            *self.vector(),
            rng.choice((0, 1, 0xFFFFF, rng.getrandbits(20))),
            rng.getrandbits(1),
        )

    def access(self):
        rng = self.rng
        ims, index = self.vector()
        table = self.space.table("ims" if ims else "msix")
        index %= table.count
        kind = rng.random()
        if kind < 0.05:
            pba = self.space.table("pba")
            address = pba.entry(rng.randrange(pba.count))
        elif kind < 0.15:
            address = self.space.table("msixperm").entry(index % self.config.msix_vectors)
        else:
            address = table.entry(index) + 8 * (kind < 0.75)
        if rng.random() < self.reads:
            return address, 0, rng.getrandbits(8), rng.getrandbits(64)
        strobe = rng.choice((0xFF, 0xFF, 0x0F, 0xF0, 0xF0, rng.getrandbits(8)))
        value = rng.getrandbits(64)
        if kind >= 0.75 and ims and rng.random() < 0.7:
            value = self.config.message_window | value & 0xFFFFF
        elif kind < 0.75:
            # Few PASIDs, so that checks meet entries.
            pasid = rng.choice((0, 1, 0xFFFFF)) << 44
            value = value & 0xFFF_FFFF_FFFF | pasid
            if rng.random() < 0.7:
                value &= ~(4 << 32)
            if rng.random() < 0.5:
                value &= ~(1 << 32)
        return address, 1, strobe, value

    def next(self, out):
        """Inputs of the next clock, given the outputs of this one."""
        x, rng = self.x, self.rng
        if self.phase_left == 0:
            self.new_phase()
        self.phase_left -= 1
        if x.event is None or out.event_ready:
            x.event = self.event() if rng.random() < self.rate["event"] else None
        if x.check is None or out.check_ready:
            x.check = self.check() if rng.random() < self.rate["check"] else None
        if x.access is not None and out.access_ready:
            x.access, self.waiting = None, True
        if self.waiting and out.result is not None and x.result_ready:
            self.waiting = False
        if x.access is None and not self.waiting and rng.random() < self.rate["access"]:
            x.access = self.access()
        x.message_ready = int(rng.random() >= self.pause["m"])
        x.verdict_ready = int(rng.random() >= self.pause["v"])
        x.result_ready = int(rng.random() >= self.pause["r"])
        if self.toggles and rng.random() < self.toggles:
            name = rng.choice(("enable", "function_mask", "bus_master"))
            setattr(x, name, 1 - getattr(x, name))
        elif rng.random() < 0.01:
            # What is off comes on again soon, as it holds everything up.
            x.enable, x.function_mask, x.bus_master = 1, 0, 1
        x.reset_ims = int(self.wipes > 0 and rng.random() < self.wipes)
        return x

    def restart(self):
        """After a reset nothing is on offer."""
        x = self.x
        x.event = x.check = x.access = None
        x.reset_ims = 0
        self.waiting = False


def differences(word: int, x: Inputs, expected, last_write: bool) -> list[str]:
    def got(name):
        offset, mask = OUT[name]
        return word >> offset & mask

    pairs = [
        ("event_ready", expected.event_ready),
        ("message_valid", int(expected.message is not None)),
        ("check_ready", expected.check_ready),
        ("verdict_valid", int(expected.verdict is not None)),
        ("access_ready", expected.access_ready),
        ("result_valid", int(expected.result is not None)),
        ("busy", expected.busy),
    ]
    if expected.message is not None:
        address, data = expected.message
        pairs.append(("message", address | data << 64))
    if expected.verdict is not None:
        pairs.append(("verdict", expected.verdict))
    if expected.result is not None and not last_write:
        pairs.append(("result", expected.result))
    return [f"{n} {got(n):#x} instead of {v:#x}" for n, v in pairs if got(n) != v]


async def reset(dut, config):
    dut.rst.value = 1
    await cycles(1)
    dut.rst.value = 0
    return MessageStoreModel(config), NOTHING


@bench(limit_cycles=1 << 40)
async def lockstep(dut):
    options = parameters()
    config = Config(**options["config"])
    total = options["clocks"]
    rng = random.Random(random.getrandbits(64))
    traffic = Traffic(config, rng)
    counts = {"events": 0, "messages": 0, "accesses": 0, "checks": 0, "resets": 0}
    last_write = False
    model, x = await reset(dut, config)
    for clock in range(total):
        out = model.step(x)
        if found := differences(int(dut.o.value), x, out, last_write):
            raise AssertionError(f"clock {clock}: {'; '.join(found)}; inputs {x}")
        counts["events"] += bool(x.event and out.event_ready)
        counts["messages"] += bool(out.message and x.message_ready)
        counts["checks"] += bool(x.check and out.check_ready)
        if x.access and out.access_ready:
            last_write = bool(x.access[1])
            counts["accesses"] += 1
        if rng.random() < 2e-5:
            model, x = await reset(dut, config)
            traffic.restart()
            counts["resets"] += 1
            continue
        x = traffic.next(out) if x is not NOTHING else traffic.x
        dut.i.value = pack(x)
        await cycles(1)
        if clock % 10_000 == 0:
            progress(clock, total, "lock-step")
    return counts
