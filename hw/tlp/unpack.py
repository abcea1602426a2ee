"""From the wire to records, and to a verdict on what came."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from .decode import Decoded, Flow, HeaderDecoder, HeaderRecords, RawHeader, Verdict
from .pack import HEADER_DWS, swap_bytes
from .records import Completion, Request, Wire, packet_stream, wire_stream
from .slice import Slice


class Rejected(data.Struct):
    """A TLP that was thrown away."""

    verdict: Verdict
    raw: RawHeader
    #: Whose credits the sender spent on it.
    flow: Flow
    #: Data credits for the payload that its header speaks of.
    units: 9


class Window(Component):
    """Hold the beats of a TLP back until all of its header can be seen.

    **Timing**: a beat per clock; the first beat of a TLP waits for the beats that hold its header,
    or for its last, or for the first beat of another TLP.

    **Errors**: beats outside of any TLP are dropped.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    i, o : ``In``, ``Out(wire_stream(data_width))``
    header : ``Out(32 * HEADER_DWS)``
        The first DWs of the TLP as they stand on the wire, with zeros after its end; valid with its
        first beat.
    """

    def __init__(self, data_width: int):
        self._width = data_width
        super().__init__(
            {
                "i": In(wire_stream(data_width)),
                "o": Out(wire_stream(data_width)),
                "header": Out(32 * HEADER_DWS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = -(-32 * HEADER_DWS // self._width)
        # Index 0 is the oldest beat; beats move up whenever there is room.
        beats = [Signal(Wire(self._width), name=f"beat_{k}", reset_less=True) for k in range(depth)]
        valid, room, ended = Signal(depth), Signal(depth), Signal(depth)
        # Beats that belong to the TLP which the oldest one begins, as far as they are here.
        own = Signal(depth)
        inside, keep = Signal(), Signal()
        m.d.comb += [
            keep.eq(self.i.valid & (inside | self.i.p.first)),
            self.o.payload.eq(beats[0]),
            self.o.valid.eq(valid[0] & (~beats[0].first | valid.all() | ended.any())),
            self.header.eq(Cat(Mux(own[k], beat.data, 0) for k, beat in enumerate(beats))),
            room[0].eq(~valid[0] | (self.o.valid & self.o.ready)),
            self.i.ready.eq(room[-1]),
        ]
        with m.If(keep & self.i.ready):
            m.d.sync += inside.eq(~self.i.p.last)
        for k, beat in enumerate(beats):
            # There may be gaps between the beats, and what lies beyond one does not count.
            end = beat.last | beat.first if k else beat.last
            m.d.comb += ended[k].eq(valid[: k + 1].all() & end)
            m.d.comb += own[k].eq(own[k - 1] & valid[k] & ~beat.first if k else beat.first)
            if k:
                m.d.comb += room[k].eq(~valid[k] | room[k - 1])
            with m.If(room[k]):
                newest = k + 1 == depth
                m.d.sync += [
                    valid[k].eq(keep if newest else valid[k + 1]),
                    beat.eq(self.i.payload if newest else beats[k + 1]),
                ]
        return m


class Unpack(Component):
    """Take TLPs apart, check them, and align their payload.

    Malformed TLPs, and others that go no further, are thrown away and reported. A length that
    turns out wrong is known only at the end of the payload, so such a packet ends early, with
    ``discard``. Whatever comes on the wire, the next well-formed TLP is taken.

    **Timing**: a wire beat per clock; the first payload beat is valid 6 clocks after the first wire
    beat at 64 bits. A TLP's last beat waits for nothing; any other waits for the one after it. The
    frame and the payload of an output are registers, and what is beside them follows from a few.

    **Errors**: see :class:`hw.tlp.decode.HeaderDecoder` for what is checked. Beyond that: payload,
    with the digest if there is one, ends where the header says. The digest itself is not checked.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    i : ``In(wire_stream(data_width))``
    max_payload_bytes : ``In(13)``
        Largest payload that may be received.
    o_request : ``Out(packet_stream(Request, data_width))``
    o_completion : ``Out(packet_stream(Completion, data_width))``
    discard : ``Out(1)``
        High with the last beat of a packet that is to be forgotten.
    raw : ``Out(RawHeader)``
        The header of the packet at either output.
    units : ``Out(9)``
        Data credits that it takes.
    o_rejected : ``Out(stream.Signature(Rejected))``
    """

    def __init__(self, data_width: int):
        self._width = data_width
        super().__init__(
            {
                "i": In(wire_stream(data_width)),
                "max_payload_bytes": In(13),
                "o_request": Out(packet_stream(Request, data_width)),
                "o_completion": Out(packet_stream(Completion, data_width)),
                "discard": Out(1),
                "raw": Out(RawHeader),
                "units": Out(9),
                "o_rejected": Out(stream.Signature(Rejected)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.window = window = Window(self._width)
        m.submodules.decoder = decoder = HeaderDecoder()
        m.submodules.records = records = HeaderRecords()
        connect(m, flipped(self.i), window.i)

        # Two stages: a beat with its raw header, then the one before it with its decoded header.
        front = data.StructLayout({"beat": Wire(self._width), "raw": RawHeader})
        m.submodules.front = slice_ = Slice(front)
        ahead, ahead_valid, raw_ahead = slice_.o.p.beat, slice_.o.valid, slice_.o.p.raw
        beat, beat_valid = Signal(Wire(self._width), reset_less=True), Signal()
        raw, decoded = Signal(RawHeader, reset_less=True), Signal(Decoded, reset_less=True)
        advance = Signal()
        prefixed = window.header[5:8] == 0b100
        dws = [swap_bytes(window.header.word_select(k, 32)) for k in range(HEADER_DWS)]
        m.d.comb += [
            slice_.i.valid.eq(window.o.valid),
            window.o.ready.eq(slice_.i.ready),
            slice_.i.p.beat.eq(window.o.payload),
            slice_.i.p.raw.prefix_valid.eq(prefixed),
            slice_.i.p.raw.prefix.eq(dws[0]),
            decoder.raw.eq(raw_ahead),
            decoder.max_payload_dw.eq(self.max_payload_bytes[2:]),
            slice_.o.ready.eq(~beat_valid | advance),
        ]
        m.d.comb += [
            slice_.i.p.raw.dws[k].eq(Mux(prefixed, dws[k + 1], dws[k]))
            for k in range(HEADER_DWS - 1)
        ]
        with m.If(slice_.o.ready):
            m.d.sync += [beat_valid.eq(ahead_valid), beat.eq(ahead)]
            with m.If(ahead_valid & ahead.first):
                m.d.sync += [decoded.eq(decoder.decoded), raw.eq(raw_ahead)]

        # The third stage holds what came of a beat.
        kind, leaves = Signal.like(decoded.kind), Signal()
        m.d.comb += [
            records.raw.eq(self.raw),
            records.kind.eq(kind),
            self.o_request.p.header.eq(records.request),
            self.o_completion.p.header.eq(records.completion),
            self.o_rejected.p.raw.eq(self.raw),
            self.o_rejected.p.units.eq(self.units),
            leaves.eq(
                (~self.o_request.valid | self.o_request.ready)
                & (~self.o_completion.valid | self.o_completion.ready)
            ),
        ]
        with m.If(leaves):
            m.d.sync += [self.o_request.valid.eq(0), self.o_completion.valid.eq(0)]
        with m.If(self.o_rejected.ready):
            m.d.sync += self.o_rejected.valid.eq(0)
        keep = self._align(m, beat, beat_valid, ahead, ahead_valid, decoded, leaves, advance)
        with m.If(keep):
            m.d.sync += [
                self.raw.eq(raw),
                kind.eq(decoded.kind),
                self.units.eq(decoded.units),
                self.o_rejected.p.flow.eq(decoded.flow),
            ]
        return m

    def _align(self, m, beat, beat_valid, ahead, ahead_valid, decoded, leaves, advance):
        """Decide on a beat; returns whether what came of it goes to the third stage."""
        beat_dw = self._width // 32
        # DWs from this beat on: header, payload, and all of the TLP.
        header_left, payload_left, left = Signal(3), Signal(11), Signal(12)
        begun, skipping = Signal(), Signal()
        header, payload, total = Signal.like(header_left), Signal.like(payload_left), Signal(12)
        with m.If(beat.first):
            m.d.comb += [
                header.eq(decoded.header_dw),
                payload.eq(decoded.payload_dw),
                total.eq(decoded.payload_dw + decoded.header_dw + decoded.digest),
            ]
        with m.Else():
            m.d.comb += [header.eq(header_left), payload.eq(payload_left), total.eq(left)]

        ends, sound, here, final = Signal(), Signal(), Signal(), Signal()
        skip, reject, emit, keep = Signal(), Signal(), Signal(), Signal()
        good = decoded.verdict == Verdict.GOOD
        m.d.comb += [
            ends.eq(beat.last | ahead.first),
            sound.eq(
                Mux(
                    ends,
                    beat.last & (beat.count == total),
                    ahead.last & (ahead.count + beat_dw == total),
                )
            ),
            here.eq((header < beat_dw) | ((header == beat_dw) & (payload == 0))),
            final.eq(payload <= beat_dw),
            skip.eq(skipping & ~beat.first),
            emit.eq(good & here & ~skip),
            reject.eq((~good | Mux(here & final, ~sound, ends)) & ~skip),
            # A report that waits keeps its header.
            advance.eq(
                beat_valid & (beat.last | ahead_valid) & leaves & (skip | ~self.o_rejected.valid)
            ),
            keep.eq(advance & ~skip),
        ]
        with m.If(advance):
            m.d.sync += [
                header_left.eq(Mux(header < beat_dw, 0, header - beat_dw)),
                left.eq(total - beat_dw),
                skipping.eq(skip | reject | (emit & final)),
                payload_left.eq(Mux(emit, payload - beat_dw, payload)),
            ]
            with m.If(emit):
                m.d.sync += begun.eq(~(final | ends))
        with m.If(keep):
            m.d.sync += [
                self.discard.eq(reject),
                self.o_rejected.valid.eq(reject),
                self.o_rejected.p.verdict.eq(Mux(good, Verdict.MALFORMED, decoded.verdict)),
            ]
        self._emit(m, beat, ahead, decoded, emit & keep, final | ends, begun)
        return keep

    def _emit(self, m, beat, ahead, decoded, emit, last, begun):
        """Offer a payload beat: this wire beat without its header DWs, and what follows."""
        beat_dw = self._width // 32
        words = Signal(self._width)
        # What lies ahead of the last beat is another TLP's, and may still change.
        following = Mux(beat.last, 0, ahead.data)
        with m.Switch(decoded.header_dw % beat_dw):
            for shift in range(beat_dw):
                with m.Case(shift):
                    m.d.comb += words.eq(Cat(beat.data, following)[32 * shift :])
        completion = decoded.flow == Flow.COMPLETION
        with m.If(emit):
            for port, chosen in ((self.o_request, ~completion), (self.o_completion, completion)):
                m.d.sync += [
                    port.valid.eq(chosen),
                    port.p.data.eq(words),
                    port.p.first.eq(~begun),
                    port.p.last.eq(last),
                ]
