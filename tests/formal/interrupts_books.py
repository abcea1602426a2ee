"""A store to prove, what may happen to it, and books about one of its vectors.

The store is the product's, with two vectors in each table. Memories are replaced by
:class:`~tests.formal.contract_ram.ContractRam`, which does what :class:`hw.interrupts.ram.Ram`
promises, and anything at all where it promises nothing.
"""

from amaranth import *
from amaranth.hdl import Assert, Assume

from hw.interrupts.keeper import Pace
from hw.interrupts.pending import Places
from hw.interrupts.store import MessageStore
from hw.regs.bar0 import bar0
from hw.regs.config import Config

from .contract_ram import contract_rams

CONFIG = Config(ims_vectors=256, msix_vectors=2)
VECTORS = 2
PACE = Pace(burst_log2=1, rest_log2=1)
WINDOW = CONFIG.message_window >> 20
SPACE = bar0(CONFIG)


class StoreBooks(Elaboratable):
    """The store with names for what is inside, its environment, and what software has written.

    Parameters
    ----------
    ims, index : int
        The chosen vector.
    start : dict, optional
        Start after the first sweep rather than at reset, with ``mask``, ``ignore`` and ``pending``
        of the chosen vector, and whether the tables were ``allowed`` to send, as given: a state
        that a store gets to, and a short way to what is to be shown of a broken one. Then only
        promises are checked, not what helps to prove them.
    """

    def __init__(self, ims: int, index: int, start: dict | None = None):
        self.ims, self.index, self.start = ims, index, start
        self.store = s = MessageStore(CONFIG, ims_vectors=VECTORS, msix_vectors=VECTORS, pace=PACE)
        self.places = Places(VECTORS, VECTORS)
        self.ports = [
            s.i_event.valid,
            s.i_event.payload,
            s.o_message.ready,
            s.i_check.valid,
            s.i_check.payload,
            s.o_verdict.ready,
            s.csr.access.valid,
            s.csr.access.payload,
            s.csr.result.ready,
            s.enable,
            s.function_mask,
            s.bus_master,
            s.reset_ims,
        ]

    # Naming what is inside.

    def _open(self):
        """Elaborate the parts by hand, so that their state has names."""
        with contract_rams():
            self.module = m = self.store.elaborate(None)
            self.store._MustUse__used = True
            self.parts = {}
            for name, (part, location) in list(m._named_submodules.items()):
                inner = part.elaborate(None)
                part._MustUse__used = True
                m._named_submodules[name] = (inner, location)
                self.parts[name] = (part, inner)
            keeper = self.parts["keeper"][1]
            for name, (part, location) in list(keeper._named_submodules.items()):
                inner = part.elaborate(None)
                part._MustUse__used = True
                keeper._named_submodules[name] = (inner, location)
                self.parts[name] = (part, inner)
        states = self.parts["keeper"][0]._states
        self.state = {
            name: states._data["signal"] == number for name, number in states.encoding.items()
        }
        self.pipe, self.keeper = self.parts["pipe"][0], self.parts["keeper"][0]
        self.walker, self.word = self.parts["walker"][0], self.parts["word"][0]
        self.vector = C(self.index | self.ims << 14, 15)
        self.place = C(self.index + (0 if self.ims else self.places.first), self.places.bits)

    def _lemma(self, condition):
        """What only helps the induction; from a given start, only promises are checked."""
        return Assert(condition if self.start is None else 1, src_loc_at=1)

    def _in(self, *names):
        return Cat(self.state[name] for name in names).any()

    def _ram(self, name, part="pipe"):
        return getattr(self.parts[part][1].submodules, name)

    def _is(self, vector):
        return Value.cast(vector)[:15] == self.vector

    def _counts(self, event):
        """Whether Ignore lets an event pass: it silences completions, and nothing else."""
        return ~(self.ignore & event.completion)

    def _pending_words(self):
        return self.parts["pending"][1].submodules.bits.words

    def _pending_word(self):
        """The pending bit of the chosen vector, which may be on its way to the memory."""
        bits = self.parts["pending"][1].submodules.bits
        arrives = bits.write & (bits.write_address == self.place)
        return Mux(arrives, bits.write_data, self._pending_words()[self.place.value])

    # What may come.

    def _environment(self, m):
        """Streams keep their rules; software keeps to entries that exist."""
        s = self.store
        access, result = s.csr.access, s.csr.result
        for port in (s.i_event, access):
            refused = Signal()
            before = Signal.like(Value.cast(port.payload))
            m.d.sync += [refused.eq(port.valid & ~port.ready), before.eq(port.payload)]
            m.d.comb += [
                Assume(~refused | port.valid),
                Assume(~refused | (Value.cast(port.payload) == before)),
            ]
        self.refused = refused
        self.offered = Signal.like(access.payload)
        m.d.comb += self.offered.eq(before)
        waiting = Signal()
        with m.If(access.valid & access.ready):
            m.d.sync += waiting.eq(1)
        with m.Elif(result.valid & result.ready):
            m.d.sync += waiting.eq(0)
        m.d.comb += Assume(~waiting | ~access.valid)
        self.waiting = waiting

        def exists(address):
            tables = {"msix": 16, "msixperm": 8, "ims": 16, "pba": 8}
            found = []
            for name, stride in tables.items():
                base = SPACE.table(name).offset
                count = 1 if name == "pba" else VECTORS
                found += [address == base + n for n in range(0, stride * count, 8)]
            return Cat(found).any()

        m.d.comb += Assume(~access.valid | exists(access.p.address))
        m.d.comb += self._lemma(~refused | exists(self.offered.address))

    def _contents(self, m):
        """What the writes so far have left in the entry, and what the tables hold."""
        access, keeper = self.store.csr.access.p, self.keeper
        start = self.start or {"mask": 1, "ignore": 0}
        mask, ignore = Signal(init=start["mask"]), Signal(init=start["ignore"])
        address = Signal(64, init=CONFIG.message_window if self.ims else 0)
        data = Signal(32)

        def merge(old):
            return Cat(
                Mux(access.strobe[n], access.data[8 * n : 8 * n + 8], old[8 * n : 8 * n + 8])
                for n in range(len(old) // 8)
            )

        # The tables change a clock after the states that say so.
        self.written, self.swept = written, swept = self.state["Write"], Signal()
        m.d.sync += swept.eq(self.state["Sweep"])
        entry = SPACE.table("ims" if self.ims else "msix").entry(self.index)
        merged = Signal(64)
        m.d.comb += merged.eq(merge(address))
        inside = merged[20:] == WINDOW if self.ims else C(1)
        with m.If(written & (access.address == entry) & inside):
            m.d.sync += address.eq(Cat(C(0, 2), merged[2:]))
        with m.If(written & (access.address == entry + 8)):
            m.d.sync += data.eq(merge(data))
            with m.If(access.strobe[4]):
                m.d.sync += mask.eq(access.data[32])
                if self.ims:
                    m.d.sync += ignore.eq(access.data[34])
        if not self.ims:
            permission = SPACE.table("msixperm").entry(self.index)
            with m.If(written & (access.address == permission) & access.strobe[0]):
                m.d.sync += ignore.eq(access.data[2])
        # The first sweep gives all entries their reset values, later ones not those of MSI-X.
        known = Signal(init=self.start is not None)
        here = (keeper.write.index[:1] == self.index) & swept
        with m.If(here):
            m.d.sync += [ignore.eq(0), known.eq(1)]
        with m.If(here & (self.ims | keeper.write.msix_data)):
            base = CONFIG.message_window if self.ims else 0
            m.d.sync += [mask.eq(1), address.eq(base), data.eq(0)]
        self.mask, self.ignore, self.known = mask, ignore, known
        self.address, self.data = address, data
        if self.ims:
            expected = {
                "ims_address": address[2:20],
                "ims_data": Cat(data, mask, ignore),
            }
            m.d.comb += self._lemma(~known | (address[20:] == WINDOW))
        else:
            expected = {
                "msix_low": address[2:38],
                "msix_high": address[38:],
                "msix_data": Cat(data, mask),
                "msix_ignore": ignore,
            }
        m.d.comb += self._lemma(address[:2] == 0)
        self.expected = expected
        for name, value in expected.items():
            word = self._ram(name).words[self.index]
            if self.start is not None:
                word._init = {
                    "ims_data": (start["mask"] | start["ignore"] << 1) << 32,
                    "msix_data": start["mask"] << 32,
                    "msix_ignore": start["ignore"],
                }.get(name, 0)
            m.d.comb += self._lemma(~known | (word == value))
