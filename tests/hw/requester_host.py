"""A host in Python that answers the requester's reads, well or badly, and notes its writes."""

import random
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from hw.tlp.records import Kind, Status

from .streams import Sink, payload_beats, payload_words

ROUTING_ID = 0x0100


def byte_at(address: int) -> int:
    """What host memory holds before anybody writes."""
    return (address * 0x9E3779B97F4A7C15 >> 29) & 0xFF


def enabled_bytes(header) -> list[int]:
    """Addresses that a request concerns, from its byte enables."""
    addresses = []
    for index in range(header.length_dw):
        enables = header.first_be if index == 0 else 0xF
        if index == header.length_dw - 1 and index > 0:
            enables = header.last_be
        addresses += [header.address + 4 * index + k for k in range(4) if enables >> k & 1]
    return addresses


class Answer(Enum):
    """How a read is answered."""

    GOOD = "good"
    POISONED = "poisoned"
    UNSUPPORTED = "unsupported"
    ABORT = "abort"
    RETRY = "retry"
    NEVER = "never"


FAILURES = {
    Answer.UNSUPPORTED: Status.UNSUPPORTED_REQUEST,
    Answer.ABORT: Status.COMPLETER_ABORT,
    Answer.RETRY: Status.REQUEST_RETRY,
}


@dataclass
class Read:
    """A read request that the host has seen."""

    header: object
    answer: Answer
    #: Completions to come, as header fields and payload words.
    parts: deque = field(default_factory=deque)


class Host:
    """Answer reads from ``non_posted`` through ``completion``.

    Requests are answered in any order between tags, each in parts that end at multiples of
    ``rcb``. ``choose`` picks the answer of a request. With ``hold`` nothing is answered.
    """

    def __init__(self, dut, config, rng: random.Random, *, pause=0.0, choose=None, rcb=64):
        self.config, self.rng, self.pause, self.rcb = config, rng, pause, rcb
        self.choose = choose or (lambda _header: Answer.GOOD)
        self.port = dut.i_completion
        self.requests = Sink(dut.o_non_posted, rng, pause)
        self.reads: list[Read] = []
        self.answered: list[Read] = []
        self.open: dict[int, Read] = {}
        #: Completions to send before all others, as header fields and payload words.
        self.injected: deque = deque()
        self.hold = False
        self.split = 0.5

    def check(self, header):
        """A read request has to be legal (PCIe Base 6.x §2.2.5, §2.2.7)."""
        assert header.kind == Kind.MEMORY_READ
        assert header.address % 4 == 0
        assert header.attr == 0 and header.tc == 0 and header.at == 0 and not header.poisoned
        first, last = header.address, header.address + 4 * header.length_dw
        assert first >> 12 == (last - 1) >> 12, "crosses 4 KiB"
        assert header.first_be != 0
        assert (header.last_be == 0) == (header.length_dw == 1)
        assert header.tag not in self.open, f"tag {header.tag} is in use"
        assert header.tag < self.config.tags

    def accept(self, header):
        self.check(header)
        read = Read(header, self.choose(header))
        addresses = enabled_bytes(header)
        here, missing = addresses[0], len(addresses)
        kind = read.answer
        fail_after = self.rng.randrange(3)
        while missing and kind is not Answer.NEVER:
            end = here + missing
            cut = (here // self.rcb + 1) * self.rcb
            while cut < end and self.rng.random() > self.split:
                cut += self.rcb
            if kind in FAILURES and (cut >= end or fail_after <= len(read.parts)):
                read.parts.append(self.part(header, here, missing, 0, status=FAILURES[kind]))
                break
            count = min(cut, end) - here
            read.parts.append(self.part(header, here, missing, count))
            here, missing = here + count, missing - count
        if kind is Answer.POISONED:
            self.rng.choice(read.parts)[0]["poisoned"] = 1
        self.reads.append(read)
        self.open[header.tag] = read

    def part(self, header, here, missing, count, status=Status.SUCCESS):
        start = here & ~3
        length_dw = (here % 4 + count + 3) // 4 if count else 0
        words = [
            int.from_bytes(bytes(byte_at(start + 4 * k + j) for j in range(4)), "little")
            for k in range(length_dw)
        ]
        fields = {
            "status": status,
            "length_dw": length_dw,
            "byte_count": missing,
            "lower_address": here & 0x7F,
            "requester": ROUTING_ID,
            "tag": header.tag,
        }
        return fields, words

    async def run(self, ctx):
        while True:
            while len(self.reads) < len(self.requests.taken):
                (beat,) = self.requests.taken[len(self.reads)]
                self.accept(beat.header)
            if self.injected:
                await self.send(ctx, *self.injected.popleft())
                continue
            ready = [tag for tag, read in self.open.items() if read.parts]
            if not ready or self.hold or self.rng.random() < self.pause:
                await ctx.tick()
                continue
            tag = self.rng.choice(ready)
            read = self.open[tag]
            fields, words = read.parts.popleft()
            if not read.parts:
                del self.open[tag]
                self.answered.append(read)
            await self.send(ctx, fields, words)

    async def send(self, ctx, fields, words):
        """Send one completion; with pauses between its beats."""
        for beat in payload_beats(fields, words, self.config.data_width):
            while self.rng.random() < self.pause:
                ctx.set(self.port.valid, 0)
                await ctx.tick()
            ctx.set(self.port.payload, beat)
            ctx.set(self.port.valid, 1)
            _, _, ready = await ctx.tick().sample(self.port.ready)
            if not ready:
                _, _, ready = await ctx.tick().sample(self.port.ready)
            assert ready, "a completion waits for one clock at most"
        ctx.set(self.port.valid, 0)


def chunk_bytes(beats, data_width: int) -> bytes:
    """The bytes of a delivered chunk."""
    header = beats[0].header
    size = data_width // 8
    skew = header.address % size
    assert len(beats) == (skew + header.length_bytes + size - 1) // size
    raw = b"".join(beat.data.to_bytes(size, "little") for beat in beats)
    return raw[skew : skew + header.length_bytes]


def command_beats(address: int, data: bytes, data_width: int, tenant=None) -> list[dict]:
    """A write command as beats."""
    size = data_width // 8
    skew = address % size
    raw = bytes(skew) + data + bytes(-(skew + len(data)) % size)
    header = {"address": address, "length_bytes": len(data), "tenant": tenant or {}}
    count = len(raw) // size
    return [
        {
            "header": header,
            "data": int.from_bytes(raw[k * size : (k + 1) * size], "little"),
            "first": k == 0,
            "last": k == count - 1,
        }
        for k in range(count)
    ]


def written_bytes(beats, data_width: int, max_payload: int) -> list[tuple[int, int]]:
    """Check that a write packet is legal, and give its bytes with their addresses."""
    header = beats[0].header
    assert header.kind == Kind.MEMORY_WRITE
    assert header.address % 4 == 0
    assert 4 * header.length_dw <= max_payload
    assert header.address >> 12 == (header.address + 4 * header.length_dw - 1) >> 12
    assert header.first_be != 0 and (header.last_be == 0) == (header.length_dw == 1)
    assert header.attr == 0 and header.tc == 0
    words = payload_words(beats, header.length_dw, data_width)
    raw = b"".join(word.to_bytes(4, "little") for word in words)
    return [(address, raw[address - header.address]) for address in enabled_bytes(header)]
