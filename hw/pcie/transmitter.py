"""The one way out of the device."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..interrupts.records import Message
from ..regs import Config
from ..tlp.pack import Pack
from ..tlp.records import Completion, Credits, Request, packet_stream, wire_stream
from .records import Settings
from .transmitter_path import TransmitPath


class Transmitter(Component):
    """Send messages, completions and requests in their order, as the partner's credits allow.

    Order (PCIe Base 6.x §2.4.1), where "accepted" is the clock that transfers the first beat:

    - messages, completions and posted requests leave in the order in which they were accepted;
    - between packets a message is accepted before a completion, and a completion before a posted
      request. So a message that is offered when a completion is accepted leaves before it;
    - a non-posted request leaves after every posted one accepted before it, and before or after the
      rest: one that waits for credits holds up nobody. Where both may go they take turns.

    A packet starts only if its header and data credits are there (§2.6.1). Because the queue is
    ordered, a completion behind a posted request that waits for credits waits too.

    Messages become writes of one DW, all bytes enabled, no PASID. Messages and requests leave in
    traffic class 0 with no attributes, if their sources leave these fields 0; a completion repeats
    its request's. Requester and completer ID are ``settings.routing_id``.

    Bus Master Enable does not gate here but at the sources, so what was accepted always drains.

    **Timing**: a message is on the wire at most 3 clocks after it is offered on an idle path.
    Packets follow each other without idle beats. A packet once started pauses only if its source
    does: whoever feeds it offers packets that are there to the end. Non-posted packets are taken a
    beat in two clocks.

    **Errors**: none.

    Members
    -------
    i_message : ``In(stream.Signature(Message))``
    i_completion : ``In(packet_stream(Completion, data_width))``
    i_posted : ``In(packet_stream(Request, data_width))``
    i_non_posted : ``In(packet_stream(Request, data_width))``
    credits : ``In(Credits)``
        Granted by the partner.
    settings : ``In(Settings)``
    non_posted_leaving : 1
        A non-posted packet is offered or has been accepted, and does not wait for credits.
    o : ``Out(wire_stream(data_width))``
    """

    def __init__(self, config: Config):
        self._config = config
        requests = packet_stream(Request, config.data_width)
        super().__init__(
            {
                "i_message": In(stream.Signature(Message)),
                "i_completion": In(packet_stream(Completion, config.data_width)),
                "i_posted": In(requests),
                "i_non_posted": In(requests),
                "credits": In(Credits),
                "settings": In(Settings),
                "non_posted_leaving": Out(1),
                "o": Out(wire_stream(config.data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.path = path = TransmitPath(self._config)
        m.submodules.pack = pack = Pack(self._config.data_width)
        connect(m, flipped(self.i_message), path.i_message)
        connect(m, flipped(self.i_completion), path.i_completion)
        connect(m, flipped(self.i_posted), path.i_posted)
        connect(m, flipped(self.i_non_posted), path.i_non_posted)
        connect(m, path.o_request, pack.i_request)
        connect(m, path.o_completion, pack.i_completion)
        connect(m, pack.o, flipped(self.o))
        m.d.comb += [
            path.credits.eq(self.credits),
            path.settings.eq(self.settings),
            pack.is_completion.eq(path.is_completion),
            self.non_posted_leaving.eq(path.non_posted_leaving),
        ]
        return m
