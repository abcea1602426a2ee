"""How long each tag has waited."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config


class TagTimer(Component):
    """Find tags whose completions do not come (PCIe Base 6.x §2.8).

    Every eighth of the timeout a sweep passes over all tags, in two clocks each and one more for
    each that expires or recovers, and counts their age; the ages lie in one small memory. A tag
    that expires stays in quarantine for as long again, so that a completion that comes late is not
    taken for one of a newer request with the same tag.

    **Timing**: a tag expires not before ``completion_timeout_cycles`` after its issue and not after
    9/8 of that and three sweeps, a sweep being ``2 * tags`` clocks. The quarantine ends within the
    same bounds. Timeouts below 16 clocks for each tag are rounded up to a multiple of a sweep.

    Parameters
    ----------
    config
        ``tags`` and ``completion_timeout_cycles``.

    Members
    -------
    start : 1
        A tag waits from now on.
    start_at : ``tags``
        Its bit.
    waiting, quarantine : ``tags``
        Which tags are watched.
    disable : 1
        Tags that wait do not expire; once it falls, those that have waited long enough do.
    busy : 1
        ``busy_tag`` may receive a completion in this clock, and does not expire.
    busy_tag : ``range(tags)``
    expire, recover : 1
        A tag has waited too long, or has been long enough in quarantine.
    at : ``tags``
        Its bit.
    """

    def __init__(self, config: Config):
        self._tags = tags = config.tags
        self._tick_cycles = max(-(-config.completion_timeout_cycles // 8), 2 * tags)
        self._ticks = -(-config.completion_timeout_cycles // self._tick_cycles)
        super().__init__(
            {
                "start": In(1),
                "start_at": In(tags),
                "waiting": In(tags),
                "quarantine": In(tags),
                "disable": In(1),
                "busy": In(1),
                "busy_tag": In(range(tags)),
                "expire": Out(1),
                "recover": Out(1),
                "at": Out(tags, init=1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ages = ages = Memory(shape=range(self._ticks + 1), depth=self._tags, init=[])
        age, store = ages.read_port(domain="comb"), ages.write_port()
        # Tags whose clock starts anew; their stored age is void.
        new = Signal(self._tags)
        sweeping = Signal()
        tick = Signal(range(self._tick_cycles))

        with m.If(tick != 0):
            m.d.sync += tick.eq(tick - 1)
        with m.Elif(~sweeping):
            m.d.sync += [tick.eq(self._tick_cycles - 1), sweeping.eq(1)]

        # The tag at hand, and its bit: what is true of it is known sooner that way.
        tag, here = Signal(range(self._tags)), self.at
        is_new = (new & here).any()
        waits, rests = (self.waiting & here).any(), (self.quarantine & here).any()
        # Looked up in the clock before.
        waiting, quarantined, old, looked = Signal(), Signal(), Signal(), Signal()
        free, step = Signal(), Signal()
        # What was found of the tag a clock ago, and is done now unless a completion comes between.
        expires, recovers, due = Signal(), Signal(), Signal()
        m.d.comb += [
            age.addr.eq(tag),
            free.eq(sweeping & looked & ~(self.busy & (self.busy_tag == tag))),
            due.eq(old & ((waiting & ~self.disable) | quarantined)),
            step.eq(free & (expires | recovers | ~due)),
            self.expire.eq(free & expires),
            self.recover.eq(free & recovers),
            store.addr.eq(tag),
            store.en.eq(step),
            store.data.eq(Mux(is_new, 0, Mux(old, self._ticks - 1, age.data + 1))),
        ]
        m.d.sync += [
            waiting.eq(waits),
            quarantined.eq(rests),
            old.eq(~is_new & (age.data == self._ticks - 1)),
            looked.eq(~step),
            expires.eq(free & ~step & waits),
            recovers.eq(free & ~step & rests),
        ]
        m.d.sync += new.eq(
            (new & ~Mux(step, here, 0))
            | Mux(self.expire, here, 0)
            | Mux(self.start, self.start_at, 0)
        )
        with m.If(step):
            m.d.sync += [
                tag.eq(tag + 1),
                here.eq(here.rotate_left(1)),
            ]
            with m.If(tag == self._tags - 1):
                m.d.sync += sweeping.eq(0)
        return m
