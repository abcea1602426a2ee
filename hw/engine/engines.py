"""All engines of a device."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.arbiter import Arbiter
from ..flow.share import Share
from ..interrupts.records import Check, Event
from ..pcie.records import ReadChunk, ReadCommand, Settings, WriteCommand
from ..queues.abandon import Abandon
from ..queues.read_buffers import ReadBuffers
from ..queues.records import Done, ErrorRecord, Work, group_shape
from ..regs import Config
from ..tlp.records import Packet, packet_stream
from .engine import Engine

CHECKS = 4
"""Permission checks on their way; the check itself takes 3 clocks."""

WRITES = 64
"""Writes on their way."""


class Engines(Component):
    """Engines that share one way to memory and to message storage.

    Reads, writes, permission checks, interrupts and error reports of all engines and the writes of
    the event log take turns. Reads of an engine wait while its group may not use another read
    buffer.

    **Timing**: a write or a check is a clock late, a read two, an answer is not. One read in three
    clocks.

    Parameters
    ----------
    config
        Counts and sizes.

    Members
    -------
    i_work : ``In(packet_stream(Work, data_width)).array(engines)``
    o_done : ``Out(stream.Signature(Done)).array(engines)``
    i_log : ``In(packet_stream(WriteCommand, data_width))``, o_logged : ``Out(stream.Signature(1))``
        Writes of the event log, and the answer to each.
    groups : ``In``
        Which engines share read buffers: an array of :func:`hw.queues.records.group_shape`.
    o_check, i_verdict, o_event, o_read, i_read, o_write, i_written, o_error, abandon, settings, \
user_interrupts
        As :class:`.engine.Engine`.
    """

    def __init__(self, config: Config):
        self._config = config
        width = config.data_width
        super().__init__(
            {
                "i_work": In(packet_stream(Work, width)).array(config.engines),
                "o_done": Out(stream.Signature(Done)).array(config.engines),
                "i_log": In(packet_stream(WriteCommand, width)),
                "o_logged": Out(stream.Signature(1)),
                "groups": In(data.ArrayLayout(group_shape(config), config.groups)),
                "o_check": Out(stream.Signature(Check)),
                "i_verdict": In(stream.Signature(1)),
                "o_event": Out(stream.Signature(Event)),
                "o_read": Out(stream.Signature(ReadCommand)),
                "i_read": In(packet_stream(ReadChunk, width)),
                "o_write": Out(packet_stream(WriteCommand, width)),
                "i_written": In(stream.Signature(1)),
                "o_error": Out(stream.Signature(ErrorRecord)),
                "abandon": In(Abandon(config)),
                "settings": In(Settings),
                "user_interrupts": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, count, width = self._config, self._config.engines, self._config.data_width
        reads = Share(ReadCommand, Packet(ReadChunk, width), count, 2 * config.tags)
        writes = Share(Packet(WriteCommand, width), unsigned(1), count + 1, WRITES)
        m.submodules.reads, m.submodules.writes = reads, writes
        m.submodules.buffers = buffers = ReadBuffers(config, ReadCommand)
        m.d.comb += buffers.groups.eq(self.groups)
        m.submodules.checks = checks = Share(Check, unsigned(1), count, CHECKS)
        m.submodules.events = events = Arbiter(Event, count)
        m.submodules.errors = errors = Arbiter(ErrorRecord, count)
        for share, request, answer in (
            (checks, self.o_check, self.i_verdict),
            (reads, self.o_read, self.i_read),
            (writes, self.o_write, self.i_written),
        ):
            connect(m, share.o, flipped(request))
            connect(m, flipped(answer), share.i_answer)
        connect(m, events.o, flipped(self.o_event))
        connect(m, errors.o, flipped(self.o_error))
        connect(m, flipped(self.i_log), writes.i[count])
        connect(m, writes.o_answer[count], flipped(self.o_logged))

        for number in range(count):
            m.submodules[f"engine_{number}"] = engine = Engine(config)
            connect(m, flipped(self.i_work[number]), engine.i_work)
            connect(m, engine.o_done, flipped(self.o_done[number]))
            connect(m, engine.o_check, checks.i[number])
            connect(m, checks.o_answer[number], engine.i_verdict)
            connect(m, engine.o_read, buffers.i[number])
            connect(m, buffers.o[number], reads.i[number])
            answer = reads.o_answer[number]
            connect(m, answer, engine.i_read)
            m.d.comb += buffers.ended[number].eq(answer.valid & answer.ready & answer.p.last)
            connect(m, engine.o_write, writes.i[number])
            connect(m, writes.o_answer[number], engine.i_written)
            connect(m, engine.o_event, events.i[number])
            connect(m, engine.o_error, errors.i[number])
            for name in self.abandon.signature.members:
                m.d.comb += getattr(engine.abandon, name).eq(getattr(self.abandon, name))
            m.d.comb += [
                engine.settings.eq(self.settings),
                engine.user_interrupts.eq(self.user_interrupts),
            ]
        return m
