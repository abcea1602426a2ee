"""Parts of the device, joined as in the device, with ports where the figures are taken."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.csr.bus import CsrSignature
from hw.interrupts.records import Check, Event
from hw.interrupts.store import MessageStore
from hw.pcie.receiver import Receiver
from hw.pcie.records import ReadChunk, ReadCommand, Settings, WriteCommand
from hw.pcie.requester import Requester
from hw.pcie.transmitter import Transmitter
from hw.regs import Config
from hw.tlp.records import packet_stream, wire_stream


def _unlimited(m: Module, credits) -> None:
    """Grant everything."""
    for kind in (credits.posted, credits.non_posted, credits.completion):
        m.d.comb += [kind.header_infinite.eq(1), kind.data_infinite.eq(1)]


class EventPath(Component):
    """Message storage and the transmitter behind it: from an event to the wire.

    Members
    -------
    i_event : ``In(stream.Signature(Event))``
    i_check : ``In(stream.Signature(Check))``
    o_verdict : ``Out(stream.Signature(1))``
    csr : ``In(CsrSignature())``
    o : ``Out(wire_stream(data_width))``
    busy : ``Out(1)``
        Storage is being initialized.
    alone : ``In(1)``
        Take every message at once, instead of passing it to the transmitter.
    message : ``Out(1)``
        Storage offers a message.
    message_address, message_data : ``Out``
        That message.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "i_event": In(stream.Signature(Event)),
                "i_check": In(stream.Signature(Check)),
                "o_verdict": Out(stream.Signature(1)),
                "csr": In(CsrSignature()),
                "o": Out(wire_stream(config.data_width)),
                "busy": Out(1),
                "alone": In(1),
                "message": Out(1),
                "message_address": Out(64),
                "message_data": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = MessageStore(self._config)
        m.submodules.transmitter = transmitter = Transmitter(self._config)
        connect(m, flipped(self.i_event), store.i_event)
        connect(m, flipped(self.i_check), store.i_check)
        connect(m, store.o_verdict, flipped(self.o_verdict))
        connect(m, flipped(self.csr), store.csr)
        connect(m, transmitter.o, flipped(self.o))
        _unlimited(m, transmitter.credits)
        m.d.comb += [
            store.enable.eq(1),
            store.bus_master.eq(1),
            transmitter.settings.bus_master.eq(1),
            transmitter.settings.max_payload_bytes.eq(self._config.max_payload_bytes),
            self.busy.eq(store.busy),
            self.message.eq(store.o_message.valid),
            self.message_address.eq(store.o_message.payload.address),
            self.message_data.eq(store.o_message.payload.data),
            transmitter.i_message.payload.eq(store.o_message.payload),
            transmitter.i_message.valid.eq(store.o_message.valid & ~self.alone),
            store.o_message.ready.eq(transmitter.i_message.ready | self.alone),
        ]
        return m


class DmaPath(Component):
    """Receiver, requester and transmitter: from commands to the wire, and back.

    Members
    -------
    i_read : ``In(stream.Signature(ReadCommand))``
    o_read : ``Out(packet_stream(ReadChunk, data_width))``
    i_write : ``In(packet_stream(WriteCommand, data_width))``
    o_written : ``Out(stream.Signature(1))``
    i, o : ``In``, ``Out(wire_stream(data_width))``
    max_payload_bytes, max_read_bytes : ``In(13)``
        As set in Device Control.
    """

    def __init__(self, config: Config):
        self._config = config
        width = config.data_width
        super().__init__(
            {
                "i_read": In(stream.Signature(ReadCommand)),
                "o_read": Out(packet_stream(ReadChunk, width)),
                "i_write": In(packet_stream(WriteCommand, width)),
                "o_written": Out(stream.Signature(1)),
                "i": In(wire_stream(width)),
                "o": Out(wire_stream(width)),
                "max_payload_bytes": In(13),
                "max_read_bytes": In(13),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver(self._config)
        m.submodules.requester = requester = Requester(self._config)
        m.submodules.transmitter = transmitter = Transmitter(self._config)
        connect(m, flipped(self.i), receiver.i)
        connect(m, receiver.o_completion, requester.i_completion)
        connect(m, flipped(self.i_read), requester.i_read)
        connect(m, flipped(self.i_write), requester.i_write)
        connect(m, requester.o_read, flipped(self.o_read))
        connect(m, requester.o_written, flipped(self.o_written))
        connect(m, requester.o_posted, transmitter.i_posted)
        connect(m, requester.o_non_posted, transmitter.i_non_posted)
        connect(m, transmitter.o, flipped(self.o))
        _unlimited(m, transmitter.credits)
        settings = Signal(Settings)
        m.d.comb += [
            settings.bus_master.eq(1),
            settings.memory_space.eq(1),
            settings.extended_tag.eq(1),
            settings.pasid_enable.eq(1),
            settings.max_payload_bytes.eq(self.max_payload_bytes),
            settings.max_read_bytes.eq(self.max_read_bytes),
            receiver.settings.eq(settings),
            requester.settings.eq(settings),
            transmitter.settings.eq(settings),
            requester.o_error.ready.eq(1),
            receiver.o_error.ready.eq(1),
        ]
        return m
