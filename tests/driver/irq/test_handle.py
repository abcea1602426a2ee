"""An interrupt occurs: counted, acknowledged, and judged if nobody wants it."""

import asyncio

import pytest

from driver.irq import (
    IrqError,
    IrqReturn,
    enable_irq,
    request_irq,
)
from driver.irq.handle import SPURIOUS_CHECK, UNHANDLED_WINDOW

from .rig import Calls, Rig, run


async def requested(rig: Rig, handler):
    place = await rig.ims()
    await request_irq(rig.system, place.virq, handler, name="paper")
    return place


def test_line_of_an_interrupt_says_who_where_and_how_often():
    async def play():
        rig = Rig()
        assert rig.system.proc_interrupts() == []
        place = await requested(rig, Calls())
        await rig.ims()
        for _ in range(3):
            rig.table.ring(place.index)
        (line,) = rig.system.proc_interrupts()
        (cpu,) = rig.system.irq_to_desc(place.virq).effective_affinity
        assert (line.irq, line.counts, line.unhandled) == (place.virq, {cpu: 3}, 0)
        assert (line.chip, line.hwirq, line.actions) == ("PAPER", place.index, ("paper",))

    run(play())


def test_interrupt_that_occurs_while_it_is_handled_is_handled_again_and_not_inside():
    async def play():
        rig, depth, deepest, count = Rig(), 0, 0, 0

        def handler():
            nonlocal depth, deepest, count
            depth, count = depth + 1, count + 1
            deepest = max(deepest, depth)
            if count == 1:
                rig.table.ring(place.index)
            depth -= 1

        place = await requested(rig, handler)
        rig.table.ring(place.index)
        assert (count, deepest) == (2, 1)

    run(play())


def test_interrupt_that_nobody_handles_is_disabled_after_a_hundred_thousand():
    async def play():
        rig, calls = Rig(unlazy=False), Calls(IrqReturn.NONE)
        place = await requested(rig, calls)
        desc = rig.system.irq_to_desc(place.virq)
        for _ in range(SPURIOUS_CHECK - 1):
            rig.system.interrupt(*_place(rig, desc))
        assert not desc.disabled and desc.irqs_unhandled == SPURIOUS_CHECK - 1
        rig.table.ring(place.index)
        assert desc.disabled and desc.spurious_disabled
        assert rig.system.complaints == [f"irq {place.virq}: nobody cared; disabling it"]
        rig.table.ring(place.index)
        await asyncio.sleep(0)
        assert calls.count == SPURIOUS_CHECK and rig.table.log[-1] == "mask"
        await enable_irq(rig.system, place.virq)
        assert calls.count == SPURIOUS_CHECK + 1 and not desc.spurious_disabled

    run(play())


@pytest.mark.parametrize("handled", [100, 99])
def test_interrupt_that_is_handled_often_enough_stays(handled):
    async def play():
        rig, calls = Rig(), Calls()
        place = await requested(rig, calls)
        desc = rig.system.irq_to_desc(place.virq)
        for number in range(SPURIOUS_CHECK):
            calls.result = IrqReturn.NONE if number >= handled else None
            rig.system.interrupt(*_place(rig, desc))
        assert desc.disabled is (handled == 99)

    run(play())


def test_unhandled_interrupts_that_are_far_apart_are_not_added_up():
    async def play():
        rig, calls = Rig(), Calls(IrqReturn.NONE)
        place = await requested(rig, calls)
        desc = rig.system.irq_to_desc(place.virq)
        for _ in range(10):
            rig.clock.time += UNHANDLED_WINDOW
            rig.table.ring(place.index)
        assert desc.irqs_unhandled == 1
        rig.clock.time += UNHANDLED_WINDOW - 1
        rig.table.ring(place.index)
        assert desc.irqs_unhandled == 2

    run(play())


def test_vector_that_is_nobodys_is_an_error():
    rig = Rig()
    assert not rig.system.interrupt(0, 0x55)
    assert rig.system.errors == 1


def test_interrupt_before_its_request_is_a_stray():
    async def play():
        rig = Rig()
        place = await rig.ims()
        data = rig.system.irq_to_desc(place.virq).irq_data
        await data.domain.activate(data, reserve=False)
        rig.table.open.add(place.index)
        assert rig.table.ring(place.index) and rig.system.strays == 1

    run(play())


def test_system_vector_belongs_to_the_system():
    rig, told = Rig(), []
    rig.system.set_system_vector(0xF2, told.append)
    assert rig.system.interrupt(3, 0xF2) and told == [3]
    rig.system.set_system_vector(0xF2, None)
    assert not rig.system.interrupt(3, 0xF2)
    with pytest.raises(IrqError, match="system vectors are 236 to 255, not 64"):
        rig.system.set_system_vector(0x40, told.append)


def _place(rig: Rig, desc) -> tuple[int, int]:
    (cpu,) = desc.effective_affinity
    return cpu, next(v for v, owner in rig.system.vector_domain.vector_irq[cpu].items())
