"""Message storage with all inputs in one port and all outputs in another, for fast lock-step."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.csr.bus import Access
from hw.interrupts.records import Check, Event, Message
from hw.interrupts.store import MessageStore
from hw.regs.config import Config

INPUTS = data.StructLayout(
    {
        "event_valid": 1,
        "event": Event,
        "message_ready": 1,
        "check_valid": 1,
        "check": Check,
        "verdict_ready": 1,
        "access_valid": 1,
        "access": Access,
        "result_ready": 1,
        "enable": 1,
        "function_mask": 1,
        "bus_master": 1,
        "reset_ims": 1,
    }
)

OUTPUTS = data.StructLayout(
    {
        "event_ready": 1,
        "message_valid": 1,
        "message": Message,
        "check_ready": 1,
        "verdict_valid": 1,
        "verdict": 1,
        "access_ready": 1,
        "result_valid": 1,
        "result": 64,
        "busy": 1,
    }
)


class InterruptsTop(Component):
    """Inputs go through a register, so a bench may change them at any time in the clock before."""

    i: In(INPUTS)
    o: Out(OUTPUTS)

    def __init__(self, config: Config, store: type[MessageStore] = MessageStore):
        self.config = config
        self._store = store
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        i = Signal(INPUTS)
        m.d.sync += i.eq(self.i)
        m.submodules.store = store = self._store(self.config)
        m.d.comb += [
            store.i_event.valid.eq(i.event_valid),
            store.i_event.payload.eq(i.event),
            store.o_message.ready.eq(i.message_ready),
            store.i_check.valid.eq(i.check_valid),
            store.i_check.payload.eq(i.check),
            store.o_verdict.ready.eq(i.verdict_ready),
            store.csr.access.valid.eq(i.access_valid),
            store.csr.access.payload.eq(i.access),
            store.csr.result.ready.eq(i.result_ready),
            store.enable.eq(i.enable),
            store.function_mask.eq(i.function_mask),
            store.bus_master.eq(i.bus_master),
            store.reset_ims.eq(i.reset_ims),
            self.o.event_ready.eq(store.i_event.ready),
            self.o.message_valid.eq(store.o_message.valid),
            self.o.message.eq(store.o_message.payload),
            self.o.check_ready.eq(store.i_check.ready),
            self.o.verdict_valid.eq(store.o_verdict.valid),
            self.o.verdict.eq(store.o_verdict.payload),
            self.o.access_ready.eq(store.csr.access.ready),
            self.o.result_valid.eq(store.csr.result.valid),
            self.o.result.eq(store.csr.result.payload),
            self.o.busy.eq(store.busy),
        ]
        return m
