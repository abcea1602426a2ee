"""All of a device's vectors: tables on the device, and entries in the host's memory."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..csr.bus import CsrSignature
from ..flow.arbiter import Arbiter
from ..interrupts.records import Check, Event, Message
from ..interrupts.store import MessageStore
from ..pcie.records import ReadChunk, ReadCommand
from ..regs.config import Config
from ..tlp.records import packet_stream
from .host_store import HostStore
from .records import FetchError, HostTable, Pending, Sync

CHECKS = 8
"""Checks that may be without a verdict."""


class Storage(Component):
    """The tables on the device, and beside them a :class:`.host_store.HostStore` if there is one.

    While ``table.enable`` is set, vectors of interrupt message storage are those in the host's
    memory, and the entries on the device rest. It changes while nothing is under way; what the host
    store held is forgotten then.

    **Timing**: that of the two stores. Verdicts are given in the order of the checks.

    Members
    -------
    i_event, o_message, i_check, o_verdict, csr, enable, function_mask, bus_master, reset_ims, busy
        As of :class:`hw.interrupts.store.MessageStore`.
    table : ``In(HostTable)``
        Where the host's entries are.
    i_sync, o_synced, o_read, i_read, o_error
        As of :class:`.host_store.HostStore`; silent if there is none.
    """

    def __init__(self, config: Config):
        self._config = config
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
                "table": In(HostTable),
                "i_sync": In(stream.Signature(Sync)),
                "o_synced": Out(stream.Signature(Pending)),
                "o_read": Out(stream.Signature(ReadCommand)),
                "i_read": In(packet_stream(ReadChunk, config.data_width)),
                "o_error": Out(stream.Signature(FetchError)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = store = MessageStore(self._config)
        connect(m, flipped(self.csr), store.csr)
        for name in ("enable", "function_mask", "bus_master", "reset_ims"):
            m.d.comb += getattr(store, name).eq(getattr(self, name))
        if not self._config.host_vectors:
            connect(m, flipped(self.i_event), store.i_event)
            connect(m, flipped(self.i_check), store.i_check)
            connect(m, store.o_message, flipped(self.o_message))
            connect(m, store.o_verdict, flipped(self.o_verdict))
            m.d.comb += self.busy.eq(store.busy)
            return m

        m.submodules.host = host = HostStore(self._config)
        m.submodules.messages = messages = Arbiter(Message, 2)
        connect(m, store.o_message, messages.i[0])
        connect(m, host.o_message, messages.i[1])
        connect(m, messages.o, flipped(self.o_message))
        connect(m, flipped(self.i_sync), host.i_sync)
        connect(m, host.o_synced, flipped(self.o_synced))
        connect(m, host.o_read, flipped(self.o_read))
        connect(m, flipped(self.i_read), host.i_read)
        connect(m, host.o_error, flipped(self.o_error))
        enabled = Signal()
        m.d.sync += enabled.eq(self.table.enable)
        m.d.comb += [
            host.base.eq(Cat(C(0, 12), self.table.page)),
            host.count.eq(self.table.count),
            host.bus_master.eq(self.bus_master),
            host.clear.eq(self.reset_ims | (self.table.enable ^ enabled)),
            self.busy.eq(store.busy | host.busy),
        ]
        self._route_events(m, store, host)
        self._route_checks(m, store, host)
        return m

    def _route_events(self, m, store, host):
        event = self.i_event
        for target, mine in (
            (host, event.p.ims & self.table.enable),
            (store, ~(event.p.ims & self.table.enable)),
        ):
            m.d.comb += target.i_event.payload.eq(event.payload)
            with m.If(mine):
                m.d.comb += [
                    target.i_event.valid.eq(event.valid),
                    event.ready.eq(target.i_event.ready),
                ]

    def _route_checks(self, m, store, host):
        """One store at a time has checks without a verdict."""
        check, verdict = self.i_check, self.o_verdict
        to_host, side, count, may = Signal(), Signal(), Signal(range(CHECKS + 1)), Signal()
        m.d.comb += [
            to_host.eq(check.p.vector.ims & self.table.enable),
            may.eq((count == 0) | ((side == to_host) & (count != CHECKS))),
        ]
        m.d.sync += count.eq(count + (check.valid & check.ready) - (verdict.valid & verdict.ready))
        with m.If(check.valid & check.ready):
            m.d.sync += side.eq(to_host)
        for number, target in enumerate((store, host)):
            m.d.comb += target.i_check.payload.eq(check.payload)
            with m.If(may & (to_host == number)):
                m.d.comb += [
                    target.i_check.valid.eq(check.valid),
                    check.ready.eq(target.i_check.ready),
                ]
            with m.If(side == number):
                m.d.comb += [
                    verdict.valid.eq(target.o_verdict.valid),
                    verdict.payload.eq(target.o_verdict.payload),
                    target.o_verdict.ready.eq(verdict.ready),
                ]
