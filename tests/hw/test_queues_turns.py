"""Queues take turns by priority, and none starves (DSA §4.1)."""

import random

import pytest
from amaranth.sim import Simulator

from hw.queues.turns import Turns
from hw.regs import Config


def serve(priorities, demands, groups=None, open_groups=lambda turn: -1):
    """Turns in order, each queue having work when ``demands(queue, turn)`` says so."""
    groups = groups or [range(len(priorities))]
    config = Config(queues=len(priorities), queue_slots=128, groups=len(groups))
    dut, order = Turns(config), []

    async def bench(ctx):
        for group, members in enumerate(groups):
            ctx.set(dut.members[group], sum(1 << queue for queue in members))
        for queue, priority in enumerate(priorities):
            ctx.set(dut.priority, priority)
            ctx.set(dut.load, 1 << queue)
            await ctx.tick()
        ctx.set(dut.load, 0)
        for turn in range(1500):
            ready = sum(demands(queue, turn) << queue for queue in range(len(priorities)))
            allowed = open_groups(turn)
            willing = [g for g, members in enumerate(groups) if allowed >> g & 1]
            able = sum(1 << queue for group in willing for queue in groups[group]) & ready
            ctx.set(dut.ready, ready)
            ctx.set(dut.open, allowed & (1 << len(groups)) - 1)
            await ctx.tick()
            if not able:
                assert not ctx.get(dut.valid)
                continue
            if not ctx.get(dut.valid):
                await ctx.tick().repeat(2)
                assert ctx.get(dut.valid), "starting anew takes two clocks"
            group = ctx.get(dut.group)
            ctx.set(dut.chosen, group)
            await ctx.tick()
            choice = ctx.get(dut.choice)
            assert able >> choice & 1, "only queues with work get a turn"
            assert choice in groups[group]
            await ctx.tick()
            ctx.set(dut.take, 1)
            ctx.set(dut.taken, choice)
            ctx.set(dut.taken_group, group)
            await ctx.tick()
            ctx.set(dut.take, 0)
            order.append(choice)

    simulator = Simulator(dut)
    simulator.add_clock(8e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return order


@pytest.mark.parametrize("priorities", [(6, 2), (1, 1, 1), (15, 1, 7, 3), (1, 2, 3, 4, 5, 6, 7, 8)])
def test_shares_are_as_the_priorities(priorities):
    order = serve(priorities, lambda queue, turn: 1)
    round_length = sum(priorities)
    for start in range(0, len(order) - round_length, round_length):
        window = order[start : start + round_length]
        assert tuple(window.count(queue) for queue in range(len(priorities))) == priorities


@pytest.mark.parametrize("seed", range(4))
def test_wait_is_bounded_whatever_the_others_do(seed):
    rng = random.Random(seed)
    print(f"seed {seed}")
    priorities = [rng.randrange(1, 16) for _ in range(6)]
    wanting = {0}
    order = serve(priorities, lambda queue, turn: queue in wanting or rng.random() < 0.7)
    gaps, last = [], 0
    for turn, queue in enumerate(order):
        if queue == 0:
            gaps.append(turn - last)
            last = turn
    bound = sum(priority + 1 for priority in priorities[1:])
    assert max(gaps) <= bound + 1


def test_queue_that_was_empty_is_served_at_its_next_turn():
    order = serve((15, 1), lambda queue, turn: queue == 0 or turn >= 5)
    assert 1 in order[5:7]


def test_equal_queues_alternate():
    order = serve((4, 4, 4, 4), lambda queue, turn: 1)
    assert order[:8] == [0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(3))
def test_groups_alternate_and_keep_their_own_shares(seed):
    rng = random.Random(seed)
    print(f"seed {seed}")
    priorities = [rng.randrange(1, 16) for _ in range(6)]
    numbers = list(range(6))
    rng.shuffle(numbers)
    groups = [numbers[:2], numbers[2:5], numbers[5:]]
    order = serve(priorities, lambda queue, turn: 1, groups)
    served = [next(g for g, members in enumerate(groups) if queue in members) for queue in order]
    assert served[:9] == [0, 1, 2] * 3
    assert served == ([0, 1, 2] * len(order))[: len(order)]
    for members in groups:
        own = [queue for queue in order if queue in members]
        length = sum(priorities[queue] for queue in members)
        assert length < len(own)
        for start in range(0, len(own) - length, length):
            window = own[start : start + length]
            assert all(window.count(queue) == priorities[queue] for queue in members)


@pytest.mark.parametrize("seed", range(3))
def test_wait_within_a_group_is_bounded_whatever_other_groups_do(seed):
    rng = random.Random(seed)
    print(f"seed {seed}")
    priorities = [rng.randrange(1, 16) for _ in range(6)]
    groups = [[0, 3, 5], [1, 2], [4]]
    order = serve(
        priorities,
        lambda queue, turn: queue == 0 or rng.random() < 0.7,
        groups,
        lambda turn: rng.randrange(4) << 1 | 1,
    )
    gaps, last = [], 0
    for turn, queue in enumerate(order):
        if queue == 0:
            gaps.append(turn - last)
            last = turn
    bound = priorities[3] + priorities[5] + 2
    assert max(gaps) <= (bound + 1) * len(groups)


def test_group_without_an_engine_holds_up_nobody():
    order = serve((1, 1), lambda queue, turn: 1, [[0], [1]], lambda turn: 0b10)
    assert set(order) == {1} and len(order) == 1500
