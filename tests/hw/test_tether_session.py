"""The board's end of the tether delivers every TLP once, in order and unchanged."""

import random
from itertools import pairwise

import pytest

from hw.regs.tether import STATUS_INTERVAL_BYTES, Identity

from .tether_bench import GRANTED_WORDS, IDENTITY, LINKED_CYCLES, Bench, random_tlp
from .tether_host import STATUS, TLP, frame, head, hello_frame, status_frame, tlp_frame


def both_ways(bench: Bench, up: list[list[int]], down: list[list[int]]):
    """Send TLPs from the device and to it, and hold what comes against them."""

    def done():
        return len(bench.device.taken) >= len(down) and len(bench.host.taken) >= len(up)

    async def main(ctx):
        await bench.welcome(ctx)
        for tlp in down:
            bench.host.send(tlp)
        bench.device.to_send.extend(up)
        await bench.until(ctx, done, "not all came")
        await ctx.tick().repeat(1500)

    bench.run(main)
    assert bench.device.taken == down
    assert bench.host.taken == up


def tlps(seed: int, count: int) -> list[list[int]]:
    rng = random.Random(seed)
    return [random_tlp(rng) for _ in range(count)]


@pytest.mark.parametrize(("data_width", "turn"), [(64, 0), (64, 2), (128, 1), (256, 3)])
def test_tlps_of_all_lengths_pass_both_ways_back_to_back(data_width, turn):
    rng = random.Random(3)
    lengths = [n for n in range(3, 135) if (n + turn) // 2 % 2]
    up, down = ([random_tlp(rng, n) for n in lengths] for _ in range(2))
    bench = Bench(data_width=data_width)
    both_ways(bench, up, down)
    assert bench.errors == 0 and bench.host.ear.bad == 0
    assert bench.host.frames[TLP] == len(up)


@pytest.mark.parametrize(
    ("rate", "count", "longest_dw"),
    [(1 / 1000, 40, 134), (1 / 200, 30, 40), (1 / 50, 20, 8), (1 / 20, 8, 4)],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_tlp_is_delivered_once_over_a_bad_line(rate, count, longest_dw, seed):
    up, down = ([tlp[:longest_dw] for tlp in tlps(seed + k, count)] for k in (10, 20))
    width = (64, 128)[seed % 2]
    bench = Bench(seed=seed, rates=(rate, rate), pause=0.2, data_width=width, hurry=4)
    both_ways(bench, up, down)
    assert min(noise.count for noise in bench.noise) > 0


def test_sequence_numbers_wrap_around_many_times():
    rng = random.Random(5)
    up, down = ([random_tlp(rng, 3) for _ in range(700)] for _ in range(2))
    both_ways(Bench(rates=(1 / 2000, 1 / 2000)), up, down)


def test_welcome_says_who_the_board_is():
    bench = Bench()

    async def main(ctx):
        await bench.welcome(ctx)

    bench.run(main)
    words = sum(dw << 32 * k for k, dw in enumerate(bench.host.welcome))
    assert Identity.from_words(words) == IDENTITY


def test_nothing_is_taken_or_said_before_the_first_hello():
    bench = Bench()

    async def main(ctx):
        host = bench.host
        host.out.clear()
        host.say(tlp_frame(0, 0, [1, 2, 3]) + status_frame(0, 0, credits=(1, 1, 1)))
        bench.device.to_send.append([4, 5, 6])
        await ctx.tick().repeat(2000)
        assert ctx.get(bench.session.reset) and not ctx.get(bench.session.linked)
        assert sum(host.frames.values()) == 0 and bench.device.taken == []
        host.say(hello_frame(host.nonce))
        await bench.welcome(ctx)
        await ctx.tick().repeat(200)
        assert not ctx.get(bench.session.reset) and ctx.get(bench.session.linked)

    bench.run(main)
    assert bench.device.taken == []


@pytest.mark.parametrize("seed", range(4))
def test_hello_in_the_middle_of_everything_begins_anew(seed):
    bench = Bench(seed=seed, pause=0.1)
    old, new = tlps(seed, 30), tlps(seed + 50, 12)

    async def main(ctx):
        await bench.welcome(ctx)
        for tlp in old:
            bench.host.send(tlp)
        bench.device.to_send.extend(old)
        await ctx.tick().repeat(bench.rng.randrange(300, 6000))
        bench.host.open(0x4321 + seed)
        await bench.until(ctx, lambda: not bench.host.out)
        await bench.until(ctx, lambda: ctx.get(bench.session.reset))
        bench.device.to_send.clear()
        bench.device.taken.clear()
        await bench.until(ctx, lambda: not ctx.get(bench.session.reset))
        bench.device.to_send.extend(new)
        await bench.welcome(ctx)
        for tlp in new:
            bench.host.send(tlp)
        await bench.until(ctx, lambda: len(bench.device.taken) >= len(new))
        await bench.until(ctx, lambda: len(bench.host.taken) >= len(new))
        await ctx.tick().repeat(1500)

    bench.run(main)
    assert bench.device.taken == new and bench.host.taken == new


def test_credits_go_both_ways_and_are_gone_after_hello():
    bench = Bench()
    bench.host.credits = (7 | 9 << 8, 3 << 8 | 1 << 20, 5 | 1 << 21)

    async def main(ctx):
        session = bench.session
        assert ctx.get(session.credits.as_value()) == 0
        await bench.welcome(ctx)
        await bench.until(ctx, lambda: bench.host.statuses)
        assert bench.host.statuses[0][4:] == tuple(GRANTED_WORDS)
        await ctx.tick().repeat(100)
        credits = ctx.get(session.credits)
        assert (credits.posted.header, credits.posted.data) == (7, 9)
        assert (credits.non_posted.data, credits.non_posted.header_infinite) == (3, 1)
        assert (credits.completion.header, credits.completion.data_infinite) == (5, 1)
        bench.host.open(0x1111)
        bench.host.credits = (0, 0, 0)
        await bench.until(ctx, lambda: ctx.get(session.reset))
        await ctx.tick()
        assert ctx.get(session.credits.as_value()) == 0

    bench.run(main)


def test_clock_runs_on_through_hello():
    bench, clocks = Bench(), []

    async def main(ctx):
        for nonce in (1, 2, 3):
            bench.host.open(nonce)
            await bench.until(ctx, lambda: bench.host.statuses)
            clocks.append((bench.clock, bench.host.statuses[0][3]))

    bench.run(main)
    for there, told in clocks:
        assert 0 < there - told < 100


def test_board_says_status_in_every_interval_and_no_more():
    bench, times = Bench(), []

    async def main(ctx):
        await bench.welcome(ctx)
        await ctx.tick().repeat(1000)
        count = bench.host.frames[STATUS]
        await ctx.tick().repeat(10 * STATUS_INTERVAL_BYTES)
        times.append(bench.host.frames[STATUS] - count)

    bench.run(main)
    assert 9 <= times[0] <= 11
    clocks = [status[3] for status in bench.host.statuses[3:]]
    assert all(b - a <= STATUS_INTERVAL_BYTES + 8 for a, b in pairwise(clocks))


def test_status_comes_after_every_fourth_tlp_and_after_the_last():
    bench, numbers = Bench(), []

    async def main(ctx):
        await bench.welcome(ctx)
        await ctx.tick().repeat(500)
        bench.host.statuses.clear()
        bench.device.to_send.extend([k, k, k] for k in range(14))
        await bench.until(ctx, lambda: len(bench.host.taken) == 14)
        await ctx.tick().repeat(100)
        numbers.extend(status[0] for status in bench.host.statuses)

    bench.run(main)
    assert numbers[-1] == 14
    assert all(b - a <= 4 for a, b in pairwise([0, *numbers]))


def test_linked_falls_when_the_host_is_silent():
    bench = Bench()

    async def main(ctx):
        await bench.welcome(ctx)
        bench.host.hear = lambda byte: None
        await ctx.tick().repeat(LINKED_CYCLES - 200)
        assert ctx.get(bench.session.linked)
        await ctx.tick().repeat(300)
        assert not ctx.get(bench.session.linked)
        bench.host.say(status_frame(0, 0))
        await ctx.tick().repeat(100)
        assert ctx.get(bench.session.linked)

    bench.run(main)


@pytest.mark.parametrize("bad", [frame([head(0x55, 0, 0, 1), 7]), status_frame(0, 0)[5:]])
def test_bad_frame_strobes_error_once(bad):
    bench = Bench()

    async def main(ctx):
        await bench.welcome(ctx)
        await ctx.tick().repeat(100)
        assert bench.errors == 0
        bench.host.say(bad)
        await ctx.tick().repeat(100)

    bench.run(main)
    assert bench.errors == 1
