"""Queues take turns by priority, and none starves (DSA §4.1)."""

import random

import pytest
from amaranth.sim import Simulator

from hw.queues.turns import Turns
from hw.regs import Config


def serve(priorities, demands):
    """Turns in order, each queue having work when ``demands(queue, turn)`` says so."""
    config = Config(queues=len(priorities), queue_slots=128)
    dut, order = Turns(config), []

    async def bench(ctx):
        for queue, priority in enumerate(priorities):
            ctx.set(dut.priority, priority)
            ctx.set(dut.load, 1 << queue)
            await ctx.tick()
        ctx.set(dut.load, 0)
        for turn in range(1500):
            ready = sum(demands(queue, turn) << queue for queue in range(len(priorities)))
            ctx.set(dut.ready, ready)
            if not ready:
                continue
            if not ctx.get(dut.valid):
                await ctx.tick()
                assert ctx.get(dut.valid), "starting anew takes one clock"
            choice = ctx.get(dut.choice)
            assert ready >> choice & 1, "only queues with work get a turn"
            ctx.set(dut.take, 1)
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
