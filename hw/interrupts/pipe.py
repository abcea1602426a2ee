"""From an event to its message, in two clocks."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from .compare import at_least
from .ram import BlockRam, DistributedRam
from .records import Event, Message, Vector

LUTRAM_MSIX = 64
"""MSI-X tables up to this many entries keep part of each entry in lookup tables."""

MSIX_ADDRESS_IN_BLOCK = 36
"""Bits of an MSI-X entry's address that are in block RAM in any case."""

WINDOW_BITS = 20
"""Log2 of the size of the message window in bytes."""


class Entry(data.Struct):
    """What the tables hold about a vector's message."""

    #: Message address in DW.
    address: 62
    data: 32
    mask: 1
    #: Neither send completions nor hold them.
    ignore: 1


class EntryWrite(data.Struct):
    """A write of parts of an entry of one table or of both."""

    index: 14
    entry: Entry
    #: Ignore of an MSI-X entry, which has a table of its own; ``entry.ignore`` is the other's.
    msix_ignore_value: 1
    ims_address: 1
    #: Data, mask and Ignore.
    ims_data: 1
    msix_address: 1
    #: Data and mask.
    msix_data: 1
    msix_ignore: 1


class Turn(data.Struct):
    """A use of the pipe that is not an event."""

    vector: Vector
    #: 1: send the message unless the vector does not exist, as its event was held until now.
    #: 0: only look the entry up.
    send: 1


class EventPipe(Component):
    """Looks up the entry of each event, and sends its message, holds it as pending, or drops it.

    An event whose entry is masked, or whose table is not allowed to send, is reported on ``pend``.
    The completion of a descriptor is dropped if its entry has Ignore set (DSA §9.2.22, §9.2.28); so
    is every event for a vector that does not exist.

    Whoever wants to write, or to use the pipe for itself, raises ``hold`` and waits for ``quiet``:
    then nothing is inside and nothing enters until ``hold`` falls. So no word is ever read
    and written in the same clock, and no event meets an entry that changes.

    **Timing**: an event transferred at clock *t* has its message valid, or is on its way to
    ``pend``, at *t+2* unless an earlier message waits for ``o.ready``; one event per clock. The
    permissions ``allow_*`` count at *t+1*. ``i.ready`` is a register. The pipe moves on in a clock
    in which no message waits, but for one clock if ``o.ready`` is 0 and an event sends nothing.
    ``pend`` comes one clock after the decision. A turn is taken in the
    clock it is offered; ``look`` shows its entry two clocks later, for one clock.

    Parameters
    ----------
    ims_vectors, msix_vectors : int
        Entries of the tables.
    window : int
        Upper bits of the addresses in interrupt message storage.
    technology : str, optional
        See :class:`hw.interrupts.ram.BlockRam`.

    Members
    -------
    i : ``In(stream.Signature(Event))``
    o : ``Out(stream.Signature(Message))``
    allow_ims, allow_msix : ``In(1)``
        Whether vectors of a table may send at all.
    hold : ``In(1)``
    empty : ``Out(1)``
        Nothing is inside.
    quiet : ``Out(1)``
        Nothing is inside, and nothing enters in this clock.
    turn, turn_valid : ``In(Turn)``, ``In(1)``
        Only while ``quiet``.
    look : ``Out(Entry)``
    write : ``In(EntryWrite)``
        Only while ``quiet``.
    pend_valid, pend : ``Out(1)``, ``Out(Vector)``
        An event to hold.
    """

    def __init__(self, ims_vectors: int, msix_vectors: int, window: int, technology=None):
        self._ims, self._msix = ims_vectors, msix_vectors
        self._window = window >> WINDOW_BITS
        self._technology = technology
        super().__init__(
            {
                "i": In(stream.Signature(Event)),
                "o": Out(stream.Signature(Message)),
                "allow_ims": In(1),
                "allow_msix": In(1),
                "hold": In(1),
                "empty": Out(1),
                "quiet": Out(1),
                "turn": In(Turn),
                "turn_valid": In(1),
                "look": Out(Entry),
                "write": In(EntryWrite),
                "pend_valid": Out(1),
                "pend": Out(Vector),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # What enters: what had to be put by, or a turn, or the stream. Room for two keeps ``ready``
        # off the path from the memories to the decision whether a message waits.
        self._ready = ready = Signal()
        self._stored = stored = [Signal(Event, name=f"stored{n}") for n in range(2)]
        self._stored_valid = stored_valid = Signal(2)
        accepts, enters, step = Signal(), Signal(), Signal()
        vector = Signal(Event)
        # There are turns only while not ready. What is read when nothing enters does not matter;
        # nor does whether a turn is a completion.
        fresh = Mux(ready, self.i.p, self.turn.vector)
        m.d.comb += [
            self.i.ready.eq(ready),
            accepts.eq(self.i.valid & ready),
            enters.eq(stored_valid[0] | self.turn_valid | accepts),
            vector.eq(Mux(stored_valid[0], stored[0], fresh)),
        ]
        m.d.sync += ready.eq(~self.hold & ~stored_valid[1] & ~(stored_valid[0] & accepts))
        with m.If(step):
            m.d.sync += stored_valid.eq(stored_valid[1] | (stored_valid[0] & accepts))
        with m.Elif(accepts):
            m.d.sync += stored_valid.eq(Cat(1, stored_valid[0]))
        with m.If(step | ~stored_valid[0]):
            m.d.sync += stored[0].eq(Mux(stored_valid[1], stored[1], self.i.p))
        with m.If(ready):
            m.d.sync += stored[1].eq(self.i.p)

        exists = ~Mux(
            vector.ims, at_least(vector.index, self._ims), at_least(vector.index, self._msix)
        )
        first_event, first_send, second_event, second_send = (
            Signal(name=name) for name in ("first_event", "first_send", "event", "send")
        )
        first, second = Signal(Event), Signal(Event)
        may_ims, may_msix = Signal(), Signal()
        self._first, self._second = (
            (first, first_event, first_send),
            (second, second_event, second_send),
        )
        self._may = may_ims, may_msix
        # Whether an event sends nothing is known too late to decide that the pipe moves on. While
        # nobody is ready to take a message, such an event stays for a clock longer.
        self._silent = silent = Signal()
        with m.If(step):
            m.d.sync += [
                first.eq(vector),
                first_event.eq(enters & ~self.turn_valid & exists),
                first_send.eq(self.turn_valid & self.turn.send & exists),
                second.eq(first),
                second_event.eq(first_event),
                second_send.eq(first_send),
                may_ims.eq(first_event & first.ims & self.allow_ims),
                may_msix.eq(first_event & ~first.ims & self.allow_msix),
            ]

        entry, emit_ims, emit_msix = self._tables(m, vector, first, second, step)
        silenced = entry.ignore & second.completion
        m.d.comb += [
            self.look.eq(entry),
            self.o.p.address.eq(Cat(C(0, 2), entry.address)),
            self.o.p.data.eq(entry.data),
            self.o.valid.eq(second_send | (may_ims & emit_ims) | (may_msix & emit_msix)),
            step.eq(~(second_event | second_send) | self.o.ready | silent),
            self.empty.eq(
                ~(stored_valid[0] | first_event | first_send)
                & ~(second_event | second_send | self.pend_valid)
            ),
            self.quiet.eq(self.empty & ~ready),
        ]
        m.d.sync += [
            silent.eq(~step & ~self.o.valid),
            self.pend_valid.eq(step & second_event & ~self.o.valid & ~silenced),
            self.pend.index.eq(second.index),
            self.pend.ims.eq(second.ims),
        ]
        return m

    def _tables(self, m, vector, first, second, step):
        """Memories; returns the entry at the end of the pipe, and whether each table emits it."""
        write = self.write

        few = self._msix <= LUTRAM_MSIX
        cut = MSIX_ADDRESS_IN_BLOCK
        window = C(self._window, 64 - WINDOW_BITS)
        high = self._window >> (cut - WINDOW_BITS + 2)

        def table(name, depth, enable, contents, *, distributed=False, substitute=0):
            if distributed:
                memory = DistributedRam(depth, len(contents), substitute)
                m.d.comb += memory.blank.eq(first.ims)
            else:
                memory = BlockRam(depth, len(contents), self._technology)
            m.submodules[name] = memory
            m.d.comb += [
                memory.write.eq(enable),
                memory.write_address.eq(write.index),
                memory.write_data.eq(contents),
                memory.enable.eq(step),
                memory.read_address.eq(vector.index),
            ]
            return memory.read_data

        ims, msix = self._ims, self._msix
        place = write.entry.address
        inside = WINDOW_BITS - 2
        ims_address = table("ims_address", ims, write.ims_address, place[:inside])
        control = Cat(write.entry.data, write.entry.mask, write.entry.ignore)
        ims_data = table("ims_data", ims, write.ims_data, control)
        msix_low = table("msix_low", msix, write.msix_address, place[:cut])
        msix_high = table(
            "msix_high",
            msix,
            write.msix_address,
            place[cut:],
            distributed=few,
            substitute=high,
        )
        msix_data = table("msix_data", msix, write.msix_data, control[:33])
        msix_ignore = table(
            "msix_ignore", msix, write.msix_ignore, write.msix_ignore_value, distributed=few
        )
        entry = Signal(Entry)
        with m.If(second.ims):
            m.d.comb += [
                entry.address.eq(Cat(ims_address, window)),
                entry.data.eq(ims_data[:32]),
                entry.mask.eq(ims_data[32]),
                entry.ignore.eq(ims_data[33]),
            ]
        with m.Else():
            m.d.comb += [
                entry.address.eq(Cat(msix_low, msix_high)),
                entry.data.eq(msix_data[:32]),
                entry.mask.eq(msix_data[32]),
                entry.ignore.eq(msix_ignore),
            ]
        if few:
            # Already what it has to be, for both tables.
            m.d.comb += entry.address[cut:].eq(msix_high)
        emit_ims = ~ims_data[32] & ~(ims_data[33] & second.completion)
        emit_msix = ~msix_data[32] & ~(msix_ignore & second.completion)
        return entry, emit_ims, emit_msix
