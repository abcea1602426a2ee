"""Feed and drain streams in a bench, with pauses, and hold them to the rules of streams."""

import random
from collections.abc import Iterable

from amaranth.sim import Simulator

WATCHDOG = 20_000


def simulate(dut, *benches, sinks=()):
    """Run benches to their end; ``sinks`` run beside them until then."""
    simulator = Simulator(dut)
    simulator.add_clock(8e-9)
    for bench in benches:
        simulator.add_testbench(bench)
    for sink in sinks:
        simulator.add_testbench(sink.run, background=True)
    simulator.run()


def wire_beats(dws: list[int], data_width: int) -> list[dict]:
    """Cut a TLP, given as DWs whose numbers spell the wire's bytes big-endian, into wire beats."""
    beat_dw = data_width // 32
    words = [int.from_bytes(dw.to_bytes(4, "big"), "little") for dw in dws]
    beats = []
    for start in range(0, len(words), beat_dw):
        group = words[start : start + beat_dw]
        data = sum(word << 32 * k for k, word in enumerate(group))
        beats.append(
            {
                "data": data,
                "count": len(group),
                "first": start == 0,
                "last": start + beat_dw >= len(words),
            }
        )
    return beats


def wire_dws(beats: Iterable) -> list[int]:
    """The inverse of :func:`wire_beats`."""
    dws = []
    for beat in beats:
        for k in range(beat.count):
            word = beat.data >> 32 * k & 0xFFFF_FFFF
            dws.append(int.from_bytes(word.to_bytes(4, "little"), "big"))
    return dws


def payload_beats(header, words: list[int], data_width: int) -> list[dict]:
    """A packet: its header and its payload DWs, lowest address first."""
    beat_dw = data_width // 32
    groups = [words[k : k + beat_dw] for k in range(0, len(words), beat_dw)] or [[]]
    return [
        {
            "header": header,
            "data": sum(word << 32 * k for k, word in enumerate(group)),
            "first": index == 0,
            "last": index == len(groups) - 1,
        }
        for index, group in enumerate(groups)
    ]


def payload_words(beats: list, length_dw: int, data_width: int) -> list[int]:
    """The payload DWs of a packet that was collected."""
    beat_dw = data_width // 32
    assert len(beats) == max(1, -(-length_dw // beat_dw)), f"{len(beats)} beats, {length_dw} DW"
    words = [beat.data >> 32 * k & 0xFFFF_FFFF for beat in beats for k in range(beat_dw)]
    return words[:length_dw]


async def offer(ctx, port, payload, rng: random.Random | None = None, pause: float = 0.0):
    """Transfer one payload into a port."""
    while rng is not None and rng.random() < pause:
        await ctx.tick()
    ctx.set(port.payload, payload)
    ctx.set(port.valid, 1)
    for _ in range(WATCHDOG):
        _, _, ready = await ctx.tick().sample(port.ready)
        if ready:
            ctx.set(port.valid, 0)
            return
    raise AssertionError("nobody took the payload")


class Sink:
    """Take all that a port has to say, as a background process, and check its manners.

    Payload must not change, nor valid fall, while the port waits; packets must be framed and keep
    their header. ``taken`` holds payloads, or lists of beats if the payload is framed. While
    ``open`` is false, nothing is taken.
    """

    def __init__(self, port, rng: random.Random | None = None, pause: float = 0.0):
        self.port, self.rng, self.pause = port, rng, pause
        self.framed = hasattr(port.payload, "last") and hasattr(port.payload, "first")
        self.headed = self.framed and hasattr(port.payload, "header")
        self.taken: list = []
        self.times: list[int] = []
        self.current: list = []
        self.clock = 0
        self.open = True

    def _take(self, payload):
        if not self.framed:
            self.taken.append(payload)
            self.times.append(self.clock)
            return
        assert payload.first == (not self.current), "frame"
        if self.headed and self.current:
            assert str(payload.header) == str(self.current[0].header), "header changed"
        self.current.append(payload)
        self.times.append(self.clock)
        if payload.last:
            self.taken.append(self.current)
            self.current = []

    async def run(self, ctx):
        port, waiting = self.port, None
        while True:
            willing = self.rng is None or self.rng.random() >= self.pause
            ctx.set(port.ready, self.open and willing)
            _, _, valid, ready, payload = await ctx.tick().sample(
                port.valid, port.ready, port.payload
            )
            self.clock += 1
            if waiting is not None:
                assert valid, "valid fell before the transfer"
                assert str(payload) == waiting, "payload changed before the transfer"
            waiting = str(payload) if valid and not ready else None
            if valid and ready:
                self._take(payload)

    async def wait(self, ctx, count: int):
        """Wait until so many payloads or packets have been taken."""
        for _ in range(WATCHDOG):
            if len(self.taken) >= count:
                return
            await ctx.tick()
        raise AssertionError(f"{len(self.taken)} of {count} came")
