"""Read buffers: how many reads the engines of a group have in flight (DSA §4.3, §9.2.23)."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from ..regs.bar0 import bar0
from ..regs.capabilities import constants
from .records import group_shape


class ReadBuffers(Component):
    """Let the read commands of engines through while their group may use another read buffer.

    A read command occupies one of the buffers that GRPCAP counts until its data has come. A group
    has no more of them at a time than Read Buffers Allowed says, unless that is 0. It always gets
    as many as are reserved for it, and beyond these it shares those that are reserved for nobody.
    Where all are reserved, a group that has none reserved gets one at a time.

    **Timing**: a command passes one clock after it is offered, one in three clocks in all; the
    engine that has waited since the oldest command comes first. A buffer that becomes free can be
    used again three clocks later.

    Parameters
    ----------
    config
        Counts of groups and engines; ``tags``.
    shape
        Of the commands.

    Members
    -------
    i : ``In(stream.Signature(shape)).array(engines)``
    o : ``Out(stream.Signature(shape)).array(engines)``
        Commands.
    ended : ``In(engines)``
        Pulse: all that was read by one of the engine's commands has come.
    groups : ``In``
        An array of :func:`hw.queues.records.group_shape`. It changes while nothing is in flight; an
        engine is in one group at most, and reads nothing if it is in none.
    """

    def __init__(self, config: Config, shape):
        self._config = config
        self._total = (
            bar0(config).register("grpcap").get(constants(config)["grpcap"], "read_buffers")
        )
        commands = stream.Signature(shape)
        super().__init__(
            {
                "i": In(commands).array(config.engines),
                "o": Out(commands).array(config.engines),
                "ended": In(config.engines),
                "groups": In(data.ArrayLayout(group_shape(config), config.groups)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        engines = self._config.engines
        granted, grant = Signal(engines), Signal(engines)
        # What a grant leaves over is known three clocks later.
        recent = Signal(2)
        m.d.sync += recent.eq(Cat(recent[1:], grant.any()))
        asking = Signal(engines)
        for index, (source, target) in enumerate(zip(self.i, self.o, strict=True)):
            passing = granted[index]
            m.d.comb += [
                target.payload.eq(source.payload),
                target.valid.eq(source.valid & passing),
                source.ready.eq(target.ready & passing),
                asking[index].eq(source.valid & ~passing),
            ]
            with m.If(grant[index]):
                m.d.sync += passing.eq(1)
            with m.Elif(target.valid & target.ready):
                m.d.sync += passing.eq(0)
        oldest = self._oldest(m, asking & self._room(m, grant), grant)
        m.d.comb += grant.eq(Mux(recent.any(), 0, oldest))
        return m

    def _oldest(self, m, able, grant):
        """Of the engines that are able, the one that was granted a command the longest ago.

        Taking turns would not do: between two chances of an engine there may be many that are
        chances for one other alone.
        """
        engines = range(self._config.engines)
        older = [[Signal(init=i < j, name=f"older_{i}_{j}") for j in engines] for i in engines]
        for i in engines:
            with m.If(grant[i]):
                m.d.sync += [older[i][j].eq(0) for j in engines if j != i]
                m.d.sync += [older[j][i].eq(1) for j in engines if j != i]
        return Cat(
            able[i] & Cat(older[i][j] | ~able[j] for j in engines if j != i).all() for i in engines
        )

    def _room(self, m, grant):
        """Engines whose group may use another buffer."""
        groups = [self.groups[number] for number in range(self._config.groups)]
        most = range(self._total + self._config.groups + 1)
        counts = [Signal(most, name=f"count_{index}") for index in range(self._config.engines)]
        for index, count in enumerate(counts):
            m.d.sync += count.eq(count + grant[index] - self.ended[index])

        reserved = Signal(range(256 * len(groups)))
        m.d.sync += reserved.eq(sum(group.flags.read_buffers_reserved for group in groups))
        shared, all_reserved = Signal(9), Signal()
        m.d.comb += all_reserved.eq(reserved >= self._total)
        beyond, room = [], 0
        for group in groups:
            own, allowed = group.flags.read_buffers_reserved, group.flags.read_buffers_allowed
            used = sum(Mux(group.engines[index], count, 0) for index, count in enumerate(counts))
            over, within, below = Signal(most), Signal(), Signal()
            m.d.sync += [
                over.eq(Mux(used > own, used - own, 0)),
                within.eq((used < own) | (all_reserved & (used == 0))),
                below.eq((used < allowed) | (allowed == 0)),
            ]
            beyond.append(over)
            may = Signal()
            m.d.sync += may.eq(below & (within | (shared + reserved < self._total)))
            room |= Mux(may, group.engines, 0)
        m.d.comb += shared.eq(sum(beyond))
        return room
