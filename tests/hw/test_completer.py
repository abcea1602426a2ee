"""Every request gets the answer that the specification names, once, and has the effect it names."""

import random

import pytest

from hw.pcie.records import ErrorKind
from hw.regs import Config
from hw.tlp.records import Kind, Status

from .completer_bench import BAR0, BAR2, ROUTING_ID, Bench, kinds, read, statuses, write
from .streams import offer, payload_beats, payload_words
from .test_tlp_pack import request


@pytest.mark.parametrize("data_width", [64, 128, 256])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_reads_of_every_length_and_alignment_give_the_registers(data_width, pause):
    bench = Bench(Config(data_width=data_width), pause)

    async def check(ctx):
        for length in range(1, 17):
            for start in (0x100, 0x104, 0x13C):
                beats = await bench.ask(ctx, read(BAR0 + start, length))
                expected = [
                    int.from_bytes(bench.memory[start + 4 * k :][:4], "little")
                    for k in range(length)
                ]
                assert payload_words(beats, length, data_width) == expected
                header = beats[0].header
                assert Status(header.status) == Status.SUCCESS
                assert (header.length_dw, header.byte_count) == (length, 4 * length)
                assert header.lower_address == start & 0x7F
                assert (header.requester, header.tag, header.tc) == (0x0100, 0x2A5, 3)
                assert (header.completer, header.attr) == (ROUTING_ID, 0b011)

    bench.run(check)
    assert bench.errors.taken == []
    assert not any(write for _, write, _ in bench.accesses)


EXTENTS = [
    *[(1, be, 0, count, low) for be, count, low in [
        (0b0000, 1, 0), (0b0001, 1, 0), (0b0010, 1, 1), (0b0100, 1, 2), (0b1000, 1, 3),
        (0b0011, 2, 0), (0b0110, 2, 1), (0b1100, 2, 2), (0b0101, 3, 0), (0b0111, 3, 0),
        (0b1010, 3, 1), (0b1110, 3, 1), (0b1001, 4, 0), (0b1011, 4, 0), (0b1101, 4, 0),
        (0b1111, 4, 0),
    ]],
    *[(2, first, last, 8 - low - gap, low)
      for first, low in [(0b1111, 0), (0b1110, 1), (0b1100, 2), (0b1000, 3), (0b1010, 1)]
      for last, gap in [(0b1111, 0), (0b0111, 1), (0b0011, 2), (0b0001, 3), (0b0101, 1)]],
    (16, 0b1000, 0b0001, 58, 3),
]  # fmt: skip


def test_byte_count_and_lower_address_follow_the_byte_enables():
    bench = Bench()

    async def check(ctx):
        for length, first, last, count, low in EXTENTS:
            beats = await bench.ask(ctx, read(BAR0 + 0x2C, length, first, last))
            header = beats[0].header
            assert (header.byte_count, header.lower_address) == (count, 0x2C + low), (first, last)
            assert header.length_dw == length

    bench.run(check)


@pytest.mark.parametrize("data_width", [64, 128, 256])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_writes_change_exactly_the_enabled_bytes(data_width, pause):
    bench = Bench(Config(data_width=data_width), pause)
    rng = random.Random(17)
    expected = bytearray(bench.memory)

    async def check(ctx):
        for length in [*range(1, 17), *[1] * 16, *[2] * 16]:
            start = 0x200 + 4 * rng.randrange(16)
            words = [rng.randrange(1 << 32) for _ in range(length)]
            first, last = rng.randrange(16), rng.randrange(1, 16)
            enables = [first] if length == 1 else [first or 8, *[0xF] * (length - 2), last]
            for k, word in enumerate(words):
                for lane in range(4):
                    if enables[k] >> lane & 1:
                        expected[start + 4 * k + lane] = word >> 8 * lane & 0xFF
            header = write(BAR0 + start, length, first_be=enables[0])
            header["last_be"] = enables[-1] if length > 1 else 0
            await bench.post(ctx, header, words)
        # A read is served after the writes, so they are over.
        await bench.settle(ctx, 100)

    bench.run(check)
    assert bench.memory == expected
    assert bench.errors.taken == []


def test_register_access_is_one_word_when_it_fits():
    bench = Bench()

    async def check(ctx):
        await bench.post(ctx, write(BAR0 + 0x84, 1, first_be=0b0110), [5])
        await bench.settle(ctx)
        await bench.post(ctx, write(BAR0 + 0x80, 2), [1, 2])
        await bench.settle(ctx)
        await bench.ask(ctx, read(BAR0 + 0x84))

    bench.run(check)
    assert [(a, w, s if w else None) for a, w, s in bench.accesses] == [
        (0x80, 1, 0x60),
        (0x80, 1, 0xFF),
        (0x80, 0, None),
    ]


@pytest.mark.parametrize("data_width", [64, 128, 256])
@pytest.mark.parametrize("accept", [True, False])
def test_deferrable_write_to_a_portal_is_answered_with_the_queues_verdict(data_width, accept):
    bench = Bench(Config(data_width=data_width), pause=0.2)
    bench.accept = accept
    words = [0x1111_1111 * k for k in range(16)]

    async def check(ctx):
        for queue, portal, slot in [(0, 0, 0), (3, 1, 1), (7, 3, 63), (5, 2, 7)]:
            address = BAR2 + queue * 0x4000 + portal * 0x1000 + slot * 64
            header = write(address, 16, Kind.DEFERRABLE_WRITE, tag=queue)
            beats = await bench.ask(ctx, header, words)
            header = beats[0].header
            wanted = Status.SUCCESS if accept else Status.REQUEST_RETRY
            assert Status(header.status) == wanted
            assert (header.length_dw, header.byte_count, header.lower_address) == (0, 4, 0)
            submitted = bench.submissions.taken[-1]
            assert payload_words(submitted, 16, data_width) == words
            header = submitted[0].header
            assert (header.queue, header.portal, header.deferrable) == (queue, portal, 1)

    bench.run(check)
    assert len(bench.submissions.taken) == 4
    assert bench.errors.taken == []


def test_posted_write_to_a_portal_is_submitted_and_waits_for_its_verdict():
    bench = Bench()

    async def check(ctx):
        for k in range(3):
            await bench.post(ctx, write(BAR2 + 0x5040, 16), [k] * 16)
        await bench.ask(ctx, read(BAR0))

    bench.run(check)
    assert [payload_words(s, 16, 64)[0] for s in bench.submissions.taken] == [0, 1, 2]
    headers = [s[0].header for s in bench.submissions.taken]
    assert [(header.deferrable, header.piece) for header in headers] == [(0, 0)] * 3
    assert len(bench.completions.taken) == 1


@pytest.mark.parametrize("data_width", [64, 128, 256])
def test_posted_eight_bytes_are_a_piece_of_a_submission(data_width):
    bench = Bench(Config(data_width=data_width), pause=0.2)

    async def check(ctx):
        for place in range(8):
            address = BAR2 + 0x5000 + 0x40 * (7 * place % 64) + 8 * place
            await bench.post(ctx, write(address, 2), [place, 100 + place])
        await bench.ask(ctx, read(BAR0))

    bench.run(check)
    assert bench.errors.taken == []
    for place, beats in enumerate(bench.submissions.taken):
        header = beats[0].header
        assert (header.piece, header.place, header.deferrable) == (1, place, 0)
        assert (header.queue, header.portal) == (1, 1)
        assert payload_words(beats, 2, data_width) == [place, 100 + place]
    assert len(bench.submissions.taken) == 8


@pytest.mark.parametrize(
    ("offset", "length", "first_be"), [(0, 8, 0xF), (4, 16, 0xF), (0x20, 16, 0xF), (0, 16, 0xE),
                                       (0, 1, 0xF), (4, 2, 0xF), (8, 2, 0xE), (8, 3, 0xF),
                                       (0, 4, 0xF), (0, 32, 0xF)]
)  # fmt: skip
def test_other_writes_to_a_portal_have_no_effect(offset, length, first_be):
    bench = Bench()

    async def check(ctx):
        await bench.post(ctx, write(BAR2 + offset, length, first_be=first_be), [1] * length)
        header = write(BAR2 + offset, length, Kind.DEFERRABLE_WRITE, first_be=first_be)
        await bench.ask(ctx, header, [1] * length)

    bench.run(check)
    assert bench.submissions.taken == [] and bench.accesses == []
    assert statuses(bench) == [Status.COMPLETER_ABORT]
    assert kinds(bench) == [(ErrorKind.COMPLETER_ABORT, 1)]


def test_portal_reads_as_ones_without_side_effects():
    bench = Bench()

    async def check(ctx):
        for length in (1, 2, 7, 16):
            beats = await bench.ask(ctx, read(BAR2 + 0x1004, length))
            assert payload_words(beats, length, 64) == [0xFFFF_FFFF] * length

    bench.run(check)
    assert bench.submissions.taken == [] and bench.accesses == [] and bench.errors.taken == []


def test_portal_of_a_queue_that_does_not_exist_retries():
    bench = Bench(Config(queues=5))

    async def check(ctx):
        address = BAR2 + 5 * 0x4000
        await bench.post(ctx, write(address, 16), [1] * 16)
        await bench.ask(ctx, write(address, 16, Kind.DEFERRABLE_WRITE), [1] * 16)

    bench.run(check)
    assert statuses(bench) == [Status.REQUEST_RETRY]
    assert bench.submissions.taken == []


def test_configuration_requests_reach_configuration_space():
    bench = Bench()

    async def check(ctx):
        beats = await bench.ask(ctx, request(Kind.CONFIG_READ, 0x0708_0104, 1))
        assert payload_words(beats, 1, 64) == [0xC0F1_0104]
        assert beats[0].header.byte_count == 4
        header = request(Kind.CONFIG_WRITE, 0x0708_0004, 1, first_be=0b0011)
        beats = await bench.ask(ctx, header, [0x1234_5678])
        assert beats[0].header.length_dw == 0
        await bench.ask(ctx, request(Kind.CONFIG_WRITE, 0x0709_0004, 1), [1])

    bench.run(check)
    assert statuses(bench) == [Status.SUCCESS, Status.SUCCESS, Status.UNSUPPORTED_REQUEST]
    read_, write_ = bench.config_accesses
    assert read_[:2] == (0x104, 0)
    assert write_ == (0x004, 1, 0b0011, 0x1234_5678, 0x0708)
    assert bench.answered == 2
    assert kinds(bench) == [(ErrorKind.UNSUPPORTED, 1)]


def test_posted_and_non_posted_requests_take_turns():
    bench = Bench()
    order = []

    async def check(ctx):
        for beat in payload_beats(read(BAR0), [], 64):
            ctx.set(bench.dut.i_non_posted.payload, beat)
        ctx.set(bench.dut.i_non_posted.valid, 1)
        header = write(BAR0)
        header["fmt_type"] = 0x60
        ctx.set(bench.dut.i_posted.payload, payload_beats(header, [1], 64)[0])
        ctx.set(bench.dut.i_posted.valid, 1)
        while len(order) < 10:
            _, _, p, n = await ctx.tick().sample(
                bench.dut.i_posted.ready, bench.dut.i_non_posted.ready
            )
            order.extend(["posted"] * p + ["non-posted"] * n)
        ctx.set(bench.dut.i_posted.valid, 0)
        ctx.set(bench.dut.i_non_posted.valid, 0)
        await bench.settle(ctx)

    bench.run(check)
    assert order[:10] in (["posted", "non-posted"] * 5, ["non-posted", "posted"] * 5)


def test_posted_requests_pass_while_a_completion_cannot_leave():
    bench = Bench()

    async def check(ctx):
        bench.completions.open = False
        for beat in payload_beats(read(BAR0), [], 64):
            await offer(ctx, bench.dut.i_non_posted, beat)
        for k in range(5):
            await bench.post(ctx, write(BAR2, 16), [k] * 16)
            await bench.post(ctx, write(BAR0 + 8), [k])
        await bench.settle(ctx)
        assert len(bench.submissions.taken) == 5
        assert len(bench.accesses) == 6
        bench.completions.open = True
        await bench.completions.wait(ctx, 1)

    bench.run(check)


@pytest.mark.parametrize(
    "later",
    [read(BAR0), write(BAR2, 16, Kind.DEFERRABLE_WRITE), request(Kind.CONFIG_READ, 0x0300_0000, 1)],
    ids=lambda header: header["kind"].name.lower(),
)
def test_non_posted_request_does_not_start_while_an_earlier_completion_waits(later):
    bench = Bench()
    beat = payload_beats(later, [1] * (16 if later["kind"] == Kind.DEFERRABLE_WRITE else 0), 64)[0]

    async def check(ctx):
        bench.completions.open = False
        for first in payload_beats(read(BAR0), [], 64):
            await offer(ctx, bench.dut.i_non_posted, first)
        ctx.set(bench.dut.i_non_posted.payload, beat)
        ctx.set(bench.dut.i_non_posted.valid, 1)
        for _ in range(60):
            _, _, ready = await ctx.tick().sample(bench.dut.i_non_posted.ready)
            assert not ready
        assert len(bench.accesses) == 1
        assert bench.submissions.taken == [] and bench.config_accesses == []
        bench.completions.open = True
        await ctx.tick().until(bench.dut.i_non_posted.ready)
        assert len(bench.completions.taken) == 1
        ctx.set(bench.dut.i_non_posted.valid, 0)
        await bench.settle(ctx, 20)

    bench.run(check)


def test_nothing_passes_a_configuration_write_that_has_not_been_answered():
    bench = Bench()

    async def check(ctx):
        bench.completions.open = False
        header = request(Kind.CONFIG_WRITE, 0x0700_0004, 1)
        for beat in payload_beats(header, [6], 64):
            await offer(ctx, bench.dut.i_non_posted, beat)
        await bench.settle(ctx)
        header = write(BAR0)
        header["fmt_type"] = 0x60
        ctx.set(bench.dut.i_posted.payload, payload_beats(header, [1], 64)[0])
        ctx.set(bench.dut.i_posted.valid, 1)
        await bench.settle(ctx)
        assert bench.accesses == [] and bench.answered == 0
        bench.completions.open = True
        await ctx.tick().until(bench.dut.i_posted.ready)
        ctx.set(bench.dut.i_posted.valid, 0)
        await bench.settle(ctx)
        assert len(bench.accesses) == 1 and bench.answered == 1

    bench.run(check)


def test_answer_to_a_configuration_write_waits_for_what_the_function_still_sends():
    bench = Bench()

    async def check(ctx):
        ctx.set(bench.dut.busy, 1)
        for beat in payload_beats(request(Kind.CONFIG_WRITE, 0x0700_0004, 1), [6], 64):
            await offer(ctx, bench.dut.i_non_posted, beat)
        await bench.settle(ctx)
        assert bench.completions.taken == [] and bench.answered == 0
        ctx.set(bench.dut.busy, 0)
        await bench.completions.wait(ctx, 1)
        ctx.set(bench.dut.busy, 1)
        await bench.ask(ctx, request(Kind.CONFIG_READ, 0x0700_0004, 1))
        await bench.ask(ctx, read(BAR0))

    bench.run(check)
    assert statuses(bench) == [Status.SUCCESS] * 3


def test_busy_function_with_bus_master_does_not_hold_up_configuration_writes():
    bench = Bench()
    bench.settings["bus_master"] = 1

    async def check(ctx):
        ctx.set(bench.dut.busy, 1)
        await bench.ask(ctx, request(Kind.CONFIG_WRITE, 0x0700_0004, 1), [6])

    bench.run(check)
    assert statuses(bench) == [Status.SUCCESS]


def test_portal_write_passes_in_few_clocks():
    bench = Bench()
    clocks = []

    async def check(ctx):
        header = write(BAR2, 16)
        header["fmt_type"] = 0x60
        for _ in range(2):
            start = bench.submissions.clock
            for beat in payload_beats(header, [7] * 16, 64):
                await offer(ctx, bench.dut.i_posted, beat)
            clocks.append(bench.submissions.clock - start)
            await bench.settle(ctx, 10)

    bench.run(check)
    assert max(clocks) == 10, clocks


@pytest.mark.parametrize("seed", range(3))
def test_random_requests_are_each_answered_once(seed):
    print(f"seed {seed}")
    bench = Bench(pause=0.3, seed=seed)
    rng = random.Random(seed)
    asked = []

    async def check(ctx):
        for number in range(150):
            base = rng.choice([BAR0, BAR2, BAR0, BAR2, 0x5000])
            address = base + 4 * rng.randrange(64) if base != BAR2 else base + rng.choice([0, 4])
            length = rng.choice([1, 1, 2, 3, 16, 16, 17])
            kind = rng.choice(list(Kind)[:7])
            poisoned = rng.random() < 0.1
            words = [rng.randrange(1 << 32) for _ in range(length)]
            match kind:
                case Kind.MEMORY_WRITE:
                    header = write(address, length, poisoned=poisoned)
                    await bench.post(ctx, header, words)
                case Kind.MESSAGE:
                    header = request(Kind.MESSAGE, 0, 0, fmt_type=0x30, first_be=rng.randrange(16))
                    await bench.post(ctx, header, [])
                case Kind.MEMORY_READ:
                    asked.append(number)
                    await bench.ask(ctx, read(address, length) | {"tag": number})
                case Kind.DEFERRABLE_WRITE:
                    asked.append(number)
                    bench.accept = rng.random() < 0.5
                    header = write(address, length, kind, poisoned=poisoned, tag=number)
                    await bench.ask(ctx, header, words)
                case _:
                    asked.append(number)
                    header = request(kind, rng.randrange(1 << 20) << 2, 1, tag=number)
                    await bench.ask(ctx, header, words[:1])

    bench.run(check)
    assert [beats[0].header.tag for beats in bench.completions.taken] == asked
