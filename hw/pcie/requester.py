"""The device's way to host memory."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..regs import Config
from ..tlp.records import Completion, Request, Status, packet_stream
from .records import ErrorReport, ReadChunk, ReadCommand, Settings, WriteCommand
from .requester_errors import RequesterErrors
from .requester_reads import Reads
from .requester_writes import Writes


class Requester(Component):
    """Read and write host memory: tags, splits, reassembly, timeouts.

    **Reads.** A command is one request, so it does not cross a multiple of the largest read
    (``settings.max_read_bytes``, or ``read_slot_bytes`` if that is less). It has a tag and a buffer
    of its own and is answered with one chunk; chunks are delivered in the order of the commands,
    each once all of it is there. Completions may come in any order between requests and in any
    split (PCIe Base 6.x §2.3.1.1). A chunk that fails says so in its header and is one beat; the
    chunks after it are delivered all the same.

    **Writes.** A command is cut at multiples of the largest payload; its beats are realigned, and a
    packet is offered once all of it is there. ``o_written`` comes once for each command, in order,
    when its last packet has been accepted for transmission, after which nothing can overtake it.

    **Bus Master Enable** off: a chunk that would be requested is answered with ``BUS_MASTER_OFF``,
    and a packet about to be offered is dropped, which ``o_written`` tells with 1. A tenant's
    requests while PASIDs are not enabled are refused too, since without its PASID a request would
    reach another's memory: reads with ``UNSUPPORTED_REQUEST``, writes with 1. Privileged Mode is
    requested only if ``settings.pasid_privileged``, Execute never.

    **Tags.** 32 at most, unless ``settings.extended_tag``. A tag is given back when its request has
    all its data, has failed, or has expired; after expiry it rests for as long again, so that late
    completions are not mistaken for those of a newer request. With a host that is later still they
    would be, if they agree in length and address. How exact the timeout is: :class:`.TagTimer`.

    **flush** (Function Level Reset) drops commands, chunks and packets that have not been offered
    as requests, and ends both command streams and both answer streams where they are, valid or not;
    the beats of a write up to the next ``first`` are dropped. Offered requests still leave. What
    waits for completions becomes an orphan: its completions are dropped without a report, and its
    tag is not used until the last one has come or it has expired. ``pending`` tells how long.

    **Timing**: a read is offered as a request one clock after its command, one every 2 clocks.
    Chunks and packets are streamed at a beat per clock without gaps between them.
    ``i_completion`` is ready but for single clocks between completions of one tag, which no wire is
    fast enough to notice at 64 bits. ``flush`` takes one clock. ``settings.max_payload_bytes`` and
    ``max_read_bytes`` change between commands.

    **Errors**: ``o_error`` reports unexpected, poisoned and malformed completions and timeouts. One
    that happens while a report waits is not reported again, but is handled.

    Members
    -------
    i_read : ``In(stream.Signature(ReadCommand))``
    o_read : ``Out(packet_stream(ReadChunk, data_width))``
    i_write : ``In(packet_stream(WriteCommand, data_width))``
    o_written : ``Out(stream.Signature(1))``
        1 if some of the command was dropped.
    i_completion : ``In(packet_stream(Completion, data_width))``
    o_posted, o_non_posted : ``Out(packet_stream(Request, data_width))``
        Requester IDs are not filled in.
    settings : ``In(Settings)``
    flush : 1
    pending : 1
        A request has been offered and not yet accepted, or waits for completions.
    o_error : ``Out(stream.Signature(ErrorReport))``
    received_master_abort, received_target_abort : ``Out(1)``
        A request was answered with status UR, or CA; one clock each.
    """

    def __init__(self, config: Config):
        self._config = config
        requests = packet_stream(Request, config.data_width)
        super().__init__(
            {
                "i_read": In(stream.Signature(ReadCommand)),
                "o_read": Out(packet_stream(ReadChunk, config.data_width)),
                "i_write": In(packet_stream(WriteCommand, config.data_width)),
                "o_written": Out(stream.Signature(1)),
                "i_completion": In(packet_stream(Completion, config.data_width)),
                "o_posted": Out(requests),
                "o_non_posted": Out(requests),
                "settings": In(Settings),
                "flush": In(1),
                "pending": Out(1),
                "o_error": Out(stream.Signature(ErrorReport)),
                "received_master_abort": Out(1),
                "received_target_abort": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reads = reads = Reads(self._config)
        m.submodules.writes = writes = Writes(self._config)
        m.submodules.errors = errors = RequesterErrors()
        connect(m, flipped(self.i_read), reads.i)
        connect(m, flipped(self.i_completion), reads.i_completion)
        connect(m, reads.o, flipped(self.o_read))
        connect(m, reads.o_non_posted, flipped(self.o_non_posted))
        connect(m, flipped(self.i_write), writes.i)
        connect(m, writes.o, flipped(self.o_posted))
        connect(m, writes.o_written, flipped(self.o_written))
        connect(m, errors.o, flipped(self.o_error))
        status = reads.error_header.status
        m.d.comb += [
            self.received_master_abort.eq(reads.failed & (status == Status.UNSUPPORTED_REQUEST)),
            self.received_target_abort.eq(reads.failed & (status == Status.COMPLETER_ABORT)),
            reads.settings.eq(self.settings),
            reads.flush.eq(self.flush),
            writes.settings.eq(self.settings),
            writes.flush.eq(self.flush),
            errors.error.eq(reads.error),
            errors.header.eq(reads.error_header),
            errors.timeout.eq(reads.timeout),
            self.pending.eq(reads.pending | self.o_posted.valid),
        ]
        return m
