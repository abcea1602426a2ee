"""Message storage on its own: for other people's designs, and to be measured."""

from amaranth import *
from amaranth.back import rtlil
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..csr.bus import Access
from ..regs.config import Config
from ..tlp.slice import Slice
from .records import Check, Event, Message
from .store import MessageStore, StoreSignature


class Outlet(Component):
    """A stream whose payload and valid go straight into registers, and whose ready comes from one.

    **Timing**: 3 clocks; a beat per clock.

    Parameters
    ----------
    shape
        Payload of the stream.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    """

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        arrived = Signal()
        payload = Signal.like(self.i.payload)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=len(Value.cast(payload)), depth=8)
        m.d.sync += [
            # Up to three beats more come after this has been decided.
            self.i.ready.eq(fifo.w_level <= 4),
            arrived.eq(self.i.valid & self.i.ready),
            payload.eq(self.i.payload),
        ]
        m.d.comb += [
            fifo.w_en.eq(arrived),
            fifo.w_data.eq(payload),
            self.o.valid.eq(fifo.r_rdy),
            self.o.payload.eq(fifo.r_data),
            fifo.r_en.eq(self.o.ready),
        ]
        return m


class RegisteredStore(Component):
    """A :class:`~hw.interrupts.store.MessageStore` between registers.

    All ports are those of the store, up to three clocks further away. Nothing leads from a port to
    a port or to a memory without a register between, so timing analysis of this component alone
    says how fast the store is. Its area is that of the store and of the registers; for the area of
    the store alone, synthesize the store.

    Parameters
    ----------
    config : Config
    technology : str, optional
        As for the store.
    """

    def __init__(self, config: Config, *, technology: str | None = None):
        self._config, self._technology = config, technology
        super().__init__(StoreSignature())

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = MessageStore(self._config, technology=self._technology)
        for name, shape in (("i_event", Event), ("i_check", Check)):
            m.submodules[name] = registers = Slice(shape)
            connect(m, outside=flipped(getattr(self, name)), registers=registers.i)
            connect(m, registers=registers.o, store=getattr(store, name))
        for name, shape in (("o_message", Message), ("o_verdict", 1)):
            m.submodules[name] = registers = Outlet(shape)
            connect(m, store=getattr(store, name), registers=registers.i)
            connect(m, registers=registers.o, outside=flipped(getattr(self, name)))
        m.submodules.access = access = Slice(Access)
        connect(m, outside=flipped(self.csr.access), registers=access.i)
        connect(m, registers=access.o, store=store.csr.access)
        m.submodules.result = result = Outlet(64)
        connect(m, store=store.csr.result, registers=result.i)
        connect(m, registers=result.o, outside=flipped(self.csr.result))
        m.d.sync += [
            store.enable.eq(self.enable),
            store.function_mask.eq(self.function_mask),
            store.bus_master.eq(self.bus_master),
            store.reset_ims.eq(self.reset_ims),
            self.busy.eq(store.busy),
        ]
        return m


def rtlil_of(config: Config, *, technology: str = "ecp5", registered: bool = False) -> str:
    """RTLIL of message storage, with a module ``top``, to be given to Yosys.

    Parameters
    ----------
    config : Config
    technology : str
        ``"ecp5"`` or ``"generic"``.
    registered : bool
        Between registers, for its speed, rather than bare, for its area.
    """
    design = RegisteredStore if registered else MessageStore
    return rtlil.convert(design(config, technology=technology), name="top")
