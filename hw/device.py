"""The device: an endpoint, message storage, work queues and engines, joined."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from .control.control import Control
from .csr.decoder import CsrDecoder
from .engine.engines import Engines
from .flow.arbiter import Arbiter
from .flow.merge import Merge
from .interrupts.records import Event
from .interrupts.store import MessageStore
from .pcie.completer import Completer
from .pcie.config_space import ConfigSpace
from .pcie.receiver import Receiver
from .pcie.requester import Requester
from .pcie.transmitter import Transmitter
from .queues.queues import WorkQueues
from .regs import Config
from .regs.bar0 import rooms
from .tlp.records import Credits, Packet, Request, wire_stream


class Device(Component):
    """A PCI Express endpoint with interrupt message storage, from wire to wire.

    The wire side is a plain stream of DWs in each direction with flow control credits beside it,
    for a data link layer or an adapter to a vendor's hard block.

    **Timing**: a write to a portal is answered about 20 clocks after its last beat; a register read
    about 15. A completion interrupt is on the wire 6 clocks after its event if nothing else is
    under way. Reset: message storage is ready after one clock per entry; requests wait until then.

    **Errors**: as the PCI Express Base Specification has them, logged in AER.

    Parameters
    ----------
    config
        All parameters of the device.

    Members
    -------
    i : ``In(wire_stream(data_width))``
        TLPs received.
    o : ``Out(wire_stream(data_width))``
        TLPs to send.
    granted : ``Out(Credits)``
        Credits granted to the partner, as running totals.
    credits : ``In(Credits)``
        Those that the partner has granted.

    Attributes
    ----------
    reset : ``Signal()``
        Starts everything anew, for whoever has no reset in the clock's domain: a register, as
        thousands of others hang on it. Not driven, it is 0.
    """

    def __init__(self, config: Config):
        self._config = config
        self.reset = Signal()
        super().__init__(
            {
                "i": In(wire_stream(config.data_width)),
                "o": Out(wire_stream(config.data_width)),
                "granted": Out(Credits),
                "credits": In(Credits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config

        # The link's side keeps running through a Function Level Reset.
        link = ResetInserter(self.reset)
        m.submodules.receiver = link(receiver := Receiver(config))
        m.submodules.completer = link(completer := Completer(config))
        m.submodules.config_space = link(space := ConfigSpace(config))
        m.submodules.requester = link(requester := Requester(config))
        m.submodules.transmitter = link(transmitter := Transmitter(config))
        m.submodules.decoder = link(decoder := CsrDecoder(rooms(config)))
        m.submodules.posted = link(posted := Arbiter(Packet(Request, config.data_width), 2))

        # The function's side starts anew, a clock after configuration space.
        anew = Signal(init=1)
        m.d.sync += anew.eq(self.reset | space.flr)
        function = ResetInserter(anew)
        m.submodules.store = function(store := MessageStore(config))
        m.submodules.queues = function(queues := WorkQueues(config))
        m.submodules.engines = function(engines := Engines(config))
        m.submodules.control = function(control := Control(config))
        m.submodules.events = function(events := Merge(Event, 3))

        connect(m, flipped(self.i), receiver.i)
        connect(m, receiver.o_posted, completer.i_posted)
        connect(m, receiver.o_non_posted, completer.i_non_posted)
        connect(m, receiver.o_completion, requester.i_completion)
        connect(m, completer.config, space.config)
        connect(m, completer.csr, decoder.csr)
        connect(m, decoder.control, control.csr)
        connect(m, decoder.queues, queues.csr)
        connect(m, decoder.store, store.csr)
        connect(m, completer.o_submission, queues.i_submission)
        connect(m, queues.o_verdict, completer.i_verdict)
        connect(m, control.queues, queues.control)
        connect(m, control.abandon, engines.abandon)
        for number in range(config.engines):
            connect(m, queues.o_work[number], engines.i_work[number])
            connect(m, engines.o_done[number], queues.i_done[number])
        connect(m, queues.o_error, control.i_queue_error)
        connect(m, engines.o_error, control.i_engine_error)

        connect(m, engines.o_check, store.i_check)
        connect(m, store.o_verdict, engines.i_verdict)
        for index, source in enumerate((engines, control, queues)):
            connect(m, source.o_event, events.i[index])
        connect(m, events.o, store.i_event)
        connect(m, control.o_write, engines.i_log)
        connect(m, engines.o_logged, control.i_written)
        connect(m, engines.o_read, requester.i_read)
        connect(m, requester.o_read, engines.i_read)
        connect(m, engines.o_write, requester.i_write)
        connect(m, requester.o_written, engines.i_written)

        connect(m, requester.o_posted, posted.i[0])
        connect(m, space.o_message_request, posted.i[1])
        connect(m, store.o_message, transmitter.i_message)
        connect(m, completer.o_completion, transmitter.i_completion)
        connect(m, posted.o, transmitter.i_posted)
        connect(m, requester.o_non_posted, transmitter.i_non_posted)
        connect(m, transmitter.o, flipped(self.o))

        for index, source in enumerate((receiver, completer, requester)):
            connect(m, source.o_error, space.i_error[index])
        for part in (receiver, completer, requester, transmitter, engines, control):
            m.d.comb += part.settings.eq(space.settings)
        m.d.comb += [
            self.granted.eq(receiver.credits),
            transmitter.credits.eq(self.credits),
            completer.bar0.eq(space.bar0),
            completer.bar2.eq(space.bar2),
            requester.flush.eq(anew),
            completer.busy.eq(
                requester.o_posted.valid | store.o_message.valid | transmitter.non_posted_leaving
            ),
            space.transactions_pending.eq(requester.pending),
            space.received_master_abort.eq(requester.received_master_abort),
            space.received_target_abort.eq(requester.received_target_abort),
            store.enable.eq(space.settings.msix_enable),
            store.function_mask.eq(space.settings.function_mask),
            store.bus_master.eq(space.settings.bus_master),
            store.reset_ims.eq(control.reset_ims),
            control.store_busy.eq(store.busy | events.o.valid),
            queues.staged.eq(control.staged),
            engines.groups.eq(control.queues.groups),
            engines.user_interrupts.eq(control.user_interrupts),
        ]
        return m
