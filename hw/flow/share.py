"""One server for several clients."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..tlp.slice import Slice
from .arbiter import Arbiter


def _ends(port):
    """Whether the beat on a port ends a packet; beats without a frame are packets each."""
    shape = port.payload.shape()
    framed = isinstance(shape, StructLayout) and "last" in shape.members
    return port.payload.last if framed else C(1)


class Share(Component):
    """Merge the requests of clients, and route each answer to who asked.

    The server answers each request once, in order. A request or an answer whose payload has a
    ``last`` member is a packet; without one, every beat is. Clients take turns
    (:class:`.arbiter.Arbiter`). They have to take their answers whatever becomes of each other's,
    or all wait for ever.

    **Timing**: a request is a clock late, an answer is not; a beat per clock. While ``depth``
    requests have no answer, no further one starts.

    Parameters
    ----------
    request, answer
        Payloads.
    count
        Clients.
    depth
        Requests that may be without an answer.

    Members
    -------
    i : ``In(stream.Signature(request)).array(count)``
    o : ``Out(stream.Signature(request))``
        To the server.
    i_answer : ``In(stream.Signature(answer))``
        From the server.
    o_answer : ``Out(stream.Signature(answer)).array(count)``
    """

    def __init__(self, request, answer, count: int, depth: int):
        self._request, self._count, self._depth = request, count, depth
        super().__init__(
            {
                "i": In(stream.Signature(request)).array(count),
                "o": Out(stream.Signature(request)),
                "i_answer": In(stream.Signature(answer)),
                "o_answer": Out(stream.Signature(answer)).array(count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.merge = merge = Arbiter(self._request, self._count)
        m.submodules.slice = slice_ = Slice(self._request)
        m.submodules.askers = askers = SyncFIFO(
            width=max((self._count - 1).bit_length(), 1), depth=self._depth
        )
        connect(m, slice_.o, flipped(self.o))
        for index in range(self._count):
            connect(m, flipped(self.i[index]), merge.i[index])

        # Room for a packet is there until its last beat has gone, since nobody else takes it.
        taken = slice_.i.valid & slice_.i.ready
        m.d.comb += [
            slice_.i.payload.eq(merge.o.payload),
            slice_.i.valid.eq(merge.o.valid & askers.w_rdy),
            merge.o.ready.eq(slice_.i.ready & askers.w_rdy),
            askers.w_data.eq(merge.grant),
            askers.w_en.eq(taken & _ends(merge.o)),
        ]

        answer = self.i_answer
        m.d.comb += askers.r_en.eq(answer.valid & answer.ready & _ends(answer))
        for index, client in enumerate(self.o_answer):
            m.d.comb += client.payload.eq(answer.payload)
            with m.If(askers.r_rdy & (askers.r_data == index)):
                m.d.comb += [client.valid.eq(answer.valid), answer.ready.eq(client.ready)]
        return m
