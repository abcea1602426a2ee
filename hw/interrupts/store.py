"""Message storage: the tables, the events that ring them, and the software that programs them."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, Signature, connect, flipped

from ..csr.bus import CsrSignature
from ..regs.config import Config
from .keeper import Keeper, Pace
from .pending import PendingBits, Places
from .permission import PermissionCheck
from .pipe import EventPipe
from .records import Check, Event, Message
from .windows import Windows


class StoreSignature(Signature):
    """Ports of :class:`MessageStore`, which describes them."""

    def __init__(self):
        super().__init__(
            {
                "i_event": In(stream.Signature(Event)),
                "o_message": Out(stream.Signature(Message)),
                "i_check": In(stream.Signature(Check)),
                "o_verdict": Out(stream.Signature(1)),
                "csr": In(CsrSignature()),
                "enable": In(1),
                "function_mask": In(1),
                "bus_master": In(1),
                "reset_ims": In(1),
                "busy": Out(1),
            }
        )


class MessageStore(Component):
    """MSI-X table and interrupt message storage, and the generator of their messages.

    Every event that enters is sent as one message, or held as pending until it may be sent (PCIe
    Base 6.x §6.1.4, DSA §3.7); but the completion of a descriptor whose entry has Ignore set is
    forgotten (DSA §9.2.22, §9.2.28). What holds a vector back is its mask, ``bus_master`` off, and
    for MSI-X also ``enable`` off and ``function_mask``. A vector holds one event: those that come
    while it is pending are one with it.

    Software sees four windows on ``csr``: the MSI-X table, its pending bits, its permissions,
    and interrupt message storage. When a read of an entry is answered, all messages from earlier
    contents have been taken by whoever listens to ``o_message``. The answer to a write that
    unmasks does not wait for the message that it sets free.

    **Timing**

    - An event transferred at clock *t* has its message valid at *t+2* on an idle path; one message
      per clock, for the same vector or for different ones.
    - A check transferred at clock *t* has its verdict valid at *t+3*; one per clock.
    - ``i_event.ready`` is a register. ``i_check.ready`` follows ``o_verdict.ready`` in the clock.
      Both are 0 while software has its turn, which takes 5 to 10 clocks (72 for pending bits);
      while a rescan has its turn, which takes 72 clocks (up to 280 if all that it meets are
      pending); and while the tables are swept, which takes one clock for each vector after reset
      and after ``reset_ims``.
    - ``bus_master``, ``enable`` and ``function_mask`` count one clock after an event has entered. A
      message that is valid by then is still sent.
    - The message of an event held by the mask is valid 2 clocks after the write that unmasks it was
      accepted.
    - Events held by ``bus_master``, ``enable`` or ``function_mask`` are found by a rescan, MSI-X
      first, in turns of 64 looks. A vector takes a look; a pending one, masked or not, 2 more and
      9 clocks. So with N vectors, P of them pending, and L = N + 2 P looks, each is sent at most
      ``(L / 64 + 3) * 265 + L + 9 * P`` clocks after what held it has let go, whatever else
      fires, is masked or toggles, with accesses, events and checks in every clock; with 26 instead
      of 265 if software is silent. ``reset_ims`` starts the count anew. To it come the clocks in
      which a message, a verdict or a result waits for ``ready``.

    Accesses wait for the messages inside: ``o_message`` has to take messages, and ``o_verdict``
    verdicts, without waiting for ``csr``; with ``bus_master`` off too.

    **Errors**: an event for a vector that does not exist is dropped, and a check of one fails. A
    write that would take an address out of the message window is ignored whole.

    Parameters
    ----------
    config : Config
        Numbers of vectors, and the message window.
    technology : str, optional
        ``"generic"`` or ``"ecp5"``: how block RAM is made. By default, what suits the platform.
    ims_vectors, msix_vectors : int, optional
        Other sizes than those of ``config``, with windows where ``config`` has them; for proofs,
        which need small ones.
    pace : Pace, optional
        How a rescan shares the clocks with events; the figures above are for the default.

    Members
    -------
    i_event : ``In(stream.Signature(Event))``
        What happened, and the vectors to ring.
    o_message : ``Out(stream.Signature(Message))``
        What to write, and where.
    i_check : ``In(stream.Signature(Check))``
        May this descriptor ring this vector?
    o_verdict : ``Out(stream.Signature(1))``
        1 if it may; one for each check, in order.
    csr : ``In(CsrSignature())``
        Offsets in BAR0; only those of the four windows.
    enable : ``In(1)``
        MSI-X Enable (PCIe Base 6.x §7.7.2).
    function_mask : ``In(1)``
        Function Mask, of MSI-X.
    bus_master : ``In(1)``
        Bus Master Enable.
    reset_ims : ``In(1)``
        Pulse: give interrupt message storage and MSI-X permissions their reset values; MSI-X table
        and pending bits stay (DSA §9.2.12, Reset Device).
    busy : ``Out(1)``
        A message is inside, or a sweep, a rescan or an access is under way or due.
    """

    def __init__(
        self,
        config: Config,
        *,
        technology: str | None = None,
        ims_vectors: int | None = None,
        msix_vectors: int | None = None,
        pace: Pace | None = None,
    ):
        self._config = config
        self._technology = technology
        self._ims = ims_vectors or config.ims_vectors
        self._msix = msix_vectors or config.msix_vectors
        self._pace = pace or Pace()
        super().__init__(StoreSignature())

    def elaborate(self, platform):
        m = Module()
        ims, msix, base = self._ims, self._msix, self._config.message_window
        places = Places(ims, msix)
        m.submodules.pipe = pipe = EventPipe(ims, msix, base, self._technology)
        m.submodules.check = check = PermissionCheck(ims, msix, self._technology)
        m.submodules.pending = pending = PendingBits(places, self._technology)
        m.submodules.keeper = keeper = Keeper(Windows(self._config), places, base, self._pace)
        connect(m, i=flipped(self.i_event), pipe=pipe.i)
        connect(m, pipe=pipe.o, o=flipped(self.o_message))
        connect(m, i=flipped(self.i_check), check=check.i)
        connect(m, check=check.o, o=flipped(self.o_verdict))
        connect(m, csr=flipped(self.csr), keeper=keeper.csr)
        allow_msix = self.bus_master & self.enable & ~self.function_mask
        m.d.comb += [
            pipe.allow_ims.eq(self.bus_master),
            pipe.allow_msix.eq(allow_msix),
            keeper.allow_ims.eq(self.bus_master),
            keeper.allow_msix.eq(allow_msix),
            keeper.reset_ims.eq(self.reset_ims),
            self.busy.eq(keeper.busy | ~pipe.empty),
            pipe.hold.eq(keeper.hold),
            check.hold.eq(keeper.hold),
            keeper.quiet.eq(pipe.quiet & check.quiet),
            pipe.turn.eq(keeper.turn),
            pipe.turn_valid.eq(keeper.turn_valid),
            keeper.look.eq(pipe.look),
            pipe.write.eq(keeper.write),
            check.vector.eq(keeper.turn.vector),
            keeper.permission_ims.eq(check.look_ims),
            keeper.permission_msix.eq(check.look_msix),
            check.write.eq(keeper.permission_write),
            pending.set_valid.eq(pipe.pend_valid),
            pending.set.eq(pipe.pend),
            pending.place.eq(keeper.place),
            keeper.pending.eq(pending.pending),
            pending.clear.eq(keeper.clear),
        ]
        return m
