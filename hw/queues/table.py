"""Queue configuration, as software reads and writes it."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..csr.answer import Answer
from ..csr.bus import CsrSignature
from ..regs import Config
from ..regs.bar0 import QUEUE_CONFIG, bar0
from ..regs.descriptor import OPERATIONS_IMPLEMENTED
from ..regs.schema import Access
from .records import QueueEntry

DEFINED_OPERATIONS = sum(
    1 << opcode
    for opcode in range(0x27)
    if opcode not in (0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x16, 0x1F, 0x22)
)
"""Opcodes that DSA §8.1.2 defines; other bits of the operations mask read as 0."""

RESET_ENTRY = {"mask": OPERATIONS_IMPLEMENTED}
"""Initial values (DSA §9.2, table 9-3)."""

_ALWAYS = ("threshold", "enable")
_WORDS = 8


def _places():
    """Where the fields lie: name, 64-bit word of the entry, lowest bit in that word."""
    for register in QUEUE_CONFIG:
        for field in register.fields:
            if field.access is Access.RW:
                bit = register.offset * 8 + field.lsb
                yield field.name, bit // 64, bit % 64


class QueueTable(Component):
    """Store queue configuration, obeying when each field may be written.

    Fields that are locked keep their values; the write succeeds all the same (DSA §9.2.24,
    table 9-7).

    **Timing**: a bus access takes 3 clocks; lookups show their entry one clock after the index.
    After reset, and after ``clear_all``, the table sets itself to initial values, one entry per
    clock; the bus waits for that.

    Parameters
    ----------
    config
        ``queues`` counts.

    Members
    -------
    csr : ``In(CsrSignature())``
        Addresses as in BAR0; only those of the table may come.
    locked : ``In(1)``
        The device is not disabled: sizes are read-only.
    enabled, busy : ``In(queues)``
        State of the queues; all but ``threshold`` and ``enable`` is read-only unless disabled.
    occupancy_index : ``Out``, occupancy : ``In(16)``
        Asks for a queue's occupancy, at once.
    generated : ``In(queues)``, acknowledge : ``Out(queues)``
        Bits that say that the occupancy interrupt was generated; pulses: software clears them.
    scan : ``In``, scanned : ``Out(1)``, scan_entry : ``Out(QueueEntry)``
        Lookups while there is no access: ``scanned`` says one clock later whether this was one.
    portal, dispatch, query : ``In``
        Indices; ``portal_entry``, ``dispatch_entry`` and ``query_entry`` follow.
    clear : ``In(1)``
        Pulse, while ``query_entry`` shows the entry: set it to initial values, keep its size.
    clear_all : ``In(1)``
        Pulse: set all entries to initial values.
    ready : ``Out(1)``
        No clearing under way.
    """

    def __init__(self, config: Config):
        self._table = bar0(config).table("wqcfg")
        self._queues = config.queues
        index = range(max(config.queues, 2))
        super().__init__(
            {
                "csr": In(CsrSignature()),
                "locked": In(1),
                "enabled": In(config.queues),
                "busy": In(config.queues),
                "occupancy_index": Out(index),
                "occupancy": In(16),
                "generated": In(config.queues),
                "acknowledge": Out(config.queues),
                "scan": In(index),
                "scanned": Out(1),
                "scan_entry": Out(QueueEntry),
                "portal": In(index),
                "portal_entry": Out(QueueEntry),
                "dispatch": In(index),
                "dispatch_entry": Out(QueueEntry),
                "query": In(index),
                "query_entry": Out(QueueEntry),
                "clear": In(1),
                "clear_all": In(1),
                "ready": Out(1),
            }
        )

    def _word(self, m, entry, word, status):
        """The 64 bits of ``word`` as software reads them."""
        value = Signal(64)
        with m.Switch(word):
            for number in range(_WORDS):
                with m.Case(number):
                    for name, place, lsb in _places():
                        if place == number:
                            field = entry[name]
                            m.d.comb += value[lsb : lsb + len(field)].eq(field)
                    if number == 3:
                        m.d.comb += value[:32].eq(status)
        return value

    def elaborate(self, platform):
        m = Module()
        m.submodules.entries = entries = Memory(
            shape=QueueEntry, depth=max(self._queues, 2), init=[RESET_ENTRY] * self._queues
        )
        # What is written goes through a register: nobody looks at it in the clock after.
        store = entries.write_port()
        write = Signal(data.StructLayout({"en": 1, "addr": store.addr.shape(), "data": QueueEntry}))
        m.d.sync += [getattr(store, name).eq(write[name]) for name in ("en", "addr", "data")]
        for name in ("portal", "dispatch", "query"):
            port = entries.read_port()
            m.d.comb += [
                port.addr.eq(getattr(self, name)),
                getattr(self, f"{name}_entry").eq(port.data),
            ]
        host = entries.read_port()

        m.submodules.answer = answer = Answer()
        connect(m, flipped(self.csr), answer.csr)
        access = answer.access
        offset = Signal(range(self._table.size_bytes))
        index = Signal(range(max(self._queues, 2)))
        word = Signal(range(_WORDS))
        # Right from the clock after an access was offered on, in which the entry is looked up.
        m.d.sync += [index.eq(offset >> 6), word.eq(offset[3:6])]
        m.d.comb += [
            offset.eq(access.address - self._table.offset),
            host.addr.eq(Mux(answer.valid, index, self.scan)),
            self.scan_entry.eq(host.data),
        ]
        m.d.sync += self.scanned.eq(~answer.valid & self.ready)

        enabled = self.enabled.bit_select(index, 1)
        busy = self.busy.bit_select(index, 1)
        generated = self.generated.bit_select(index, 1)
        fixed = QUEUE_CONFIG[6]["mode_support"].mask
        bit = QUEUE_CONFIG[6]["occupancy_interrupt"].lsb
        status = fixed | (generated << bit) | (enabled << 30) | (busy << 31)
        m.d.comb += self.occupancy_index.eq(index)
        m.d.comb += answer.value.eq(self._word(m, host.data, word, status | self.occupancy))
        merged = Signal(QueueEntry)
        self._merge(m, merged, access, host.data, word, enabled | busy)

        sweep = Signal(range(self._queues + 1))
        m.d.comb += self.ready.eq(sweep == self._queues)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(answer.valid & self.ready):
                    m.next = "LOOK UP"
            with m.State("LOOK UP"):
                m.next = "STORE"
            with m.State("STORE"):
                m.next = "IDLE"
                # What is being cleared has to be looked up again.
                with m.If(self.ready & ~self.clear):
                    m.d.comb += [
                        answer.done.eq(1),
                        write.en.eq(access.write),
                        write.addr.eq(index),
                        write.data.eq(merged),
                    ]
                    with m.If(access.write & access.strobe[bit // 8] & access.data[bit]):
                        m.d.comb += self.acknowledge.eq((word == 3) << index)

        self._clear(m, write, sweep)
        return m

    def _clear(self, m, write, sweep):
        """Set entries to initial values, which comes before what software writes."""
        initial = Const(RESET_ENTRY, QueueEntry)
        with m.If(~self.ready):
            m.d.sync += sweep.eq(sweep + 1)
            m.d.comb += [write.en.eq(1), write.addr.eq(sweep), write.data.eq(initial)]
        with m.Elif(self.clear):
            m.d.comb += [
                write.en.eq(1),
                write.addr.eq(self.query),
                write.data.eq(initial),
                write.data.size.eq(self.query_entry.size),
            ]
        with m.If(self.clear_all):
            m.d.sync += sweep.eq(0)

    def _merge(self, m, merged, access, entry, word, active):
        """The entry after a write."""
        strobe = Cat(bit.replicate(8) for bit in access.strobe)
        m.d.comb += merged.eq(entry)
        for name, place, lsb in _places():
            field = entry[name]
            span = slice(lsb, lsb + len(field))
            if name == "size":
                free = ~self.locked
            elif name == "limit":
                free = ~entry.enable
            else:
                free = 1 if name in _ALWAYS else ~active
            mask = strobe[span] & (DEFINED_OPERATIONS if name == "mask" else -1)
            with m.If((word == place) & free):
                m.d.comb += merged[name].eq((field & ~strobe[span]) | (access.data[span] & mask))
