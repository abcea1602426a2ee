"""What keeps the device from being enabled."""

from functools import reduce
from itertools import combinations
from operator import or_

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from ..pcie.records import Settings
from ..queues.records import group_shape
from ..regs import Config
from ..regs.bar0 import bar0
from ..regs.capabilities import constants
from ..regs.event_log import EVENT_BYTES

LOG_ENTRIES_MIN = 64
"""The smallest event log (DSA §9.2.16)."""

READ_BUFFERS_PER_ENGINE = 4
"""The fewest read buffers that a group may be allowed, for each of its engines (DSA §9.2.23)."""

_ABSENT_LIMITS = ("global_limit", "work_limit", "batch_limit", "read_bandwidth", "write_bandwidth")


class DeviceFaults(data.Struct):
    """What is wrong with the configuration; see :class:`hw.regs.commands.CommandError`."""

    group_incomplete: 1
    #: A queue is in two groups.
    group_queues: 1
    #: An engine is in two groups.
    group_engines: 1
    read_buffers: 1
    event_log: 1
    pasid: 1


class DeviceCheck(Component):
    """Look at all configuration that is not of a single queue (DSA §5.1, table 5-8).

    A group that is allowed 0 read buffers has no limit of its own; its reset value says so.

    **Timing**: ``o`` follows its inputs by 3 clocks.

    Parameters
    ----------
    config
        Counts of groups and engines, and of read buffers.

    Members
    -------
    groups : ``In(ArrayLayout(group_shape(config), config.groups))``
    gencfg : ``In(32)``, evlcfg : ``In(128)``
        As the registers.
    settings : ``In(Settings)``
    o : ``Out(DeviceFaults)``
    """

    def __init__(self, config: Config):
        space = bar0(config)
        self._gencfg, self._evlcfg = space.register("gencfg"), space.register("evlcfg")
        self._buffers = space.register("grpcap").get(constants(config)["grpcap"], "read_buffers")
        super().__init__(
            {
                "groups": In(data.ArrayLayout(group_shape(config), config.groups)),
                "gencfg": In(32),
                "evlcfg": In(128),
                "settings": In(Settings),
                "o": Out(DeviceFaults),
            }
        )

    def elaborate(self, platform):
        m = Module()
        groups = list(self.groups)
        m.d.sync += [
            self.o.group_incomplete.eq(
                Cat(group.queues.any() != group.engines.any() for group in groups).any()
            ),
            self.o.group_queues.eq(_overlap([group.queues for group in groups])),
            self.o.group_engines.eq(_overlap([group.engines for group in groups])),
            self.o.read_buffers.eq(self._read_buffers(m, groups)),
            self.o.event_log.eq(self._event_log()),
            self.o.pasid.eq(self._pasid()),
        ]
        return m

    def _read_buffers(self, m, groups):
        """A limit that this device does not have, or one that does not fit the others."""
        reserved = Signal(range(256 * len(groups)))
        free = Signal(range(self._buffers + 1))
        excess, wrong = Signal(), Signal(len(groups))
        m.d.sync += [
            reserved.eq(sum(group.flags.read_buffers_reserved for group in groups)),
            free.eq(Mux(reserved > self._buffers, 0, self._buffers - reserved)),
            excess.eq(reserved > self._buffers),
        ]
        for index, group in enumerate(groups):
            flags = group.flags
            allowed, own = flags.read_buffers_allowed, flags.read_buffers_reserved
            engines = sum(group.engines)
            misfit = (
                (allowed < READ_BUFFERS_PER_ENGINE * engines)
                | (allowed < own)
                | (allowed > own + free)
            )
            absent = Cat(flags[name] for name in _ABSENT_LIMITS).any()
            m.d.comb += wrong[index].eq(absent | ((allowed != 0) & misfit))
        return excess | wrong.any()

    def _event_log(self):
        # In units of an entry, 58 bits hold the address of any.
        unit = EVENT_BYTES.bit_length() - 1
        base = _field(self._evlcfg, self.evlcfg, "base") << self._evlcfg["base"].lsb - unit
        size = _field(self._evlcfg, self.evlcfg, "size")
        beyond = base + size > 1 << 64 - unit
        return _field(self._gencfg, self.gencfg, "event_log") & ((size < LOG_ENTRIES_MIN) | beyond)

    def _pasid(self):
        pasid = _field(self._evlcfg, self.evlcfg, "pasid_enable")
        privileged = _field(self._evlcfg, self.evlcfg, "privileged")
        return (pasid & ~self.settings.pasid_enable) | (
            privileged & ~(pasid & self.settings.pasid_privileged)
        )


def _field(register, value, name):
    return value[register[name].lsb : register[name].msb + 1]


def _overlap(bitmaps):
    """Whether a bit is set in two of them."""
    return reduce(or_, (one & other for one, other in combinations(bitmaps, 2)), C(0)).any()
