"""Ignore silences completions of descriptors, and nothing else (DSA §9.2.22, §9.2.28)."""

import pytest

from .interrupts_bench import BOTH, IGNORE, IMS, MASK, MSIX, Bench, message, messages, program

MASKED = pytest.mark.parametrize("mask", [0, MASK], ids=["open", "masked"])


async def set_ignore(b, table, index, mask):
    if table == IMS:
        await program(b, IMS, index, IGNORE | mask)
    else:
        await b.access(b.space.table("msixperm").entry(index), 1, IGNORE)
        await program(b, MSIX, index, mask)


@BOTH
@MASKED
def test_ignored_event_is_neither_sent_nor_held(table, mask):
    async def test(b):
        await set_ignore(b, table, 5, mask)
        await b.ring(table, 5)
        await b.idle()
        assert not await b.is_pending(table, 5)
        await set_ignore(b, table, 5, 0)

    assert messages(Bench().run(test)) == []


@BOTH
def test_ignore_does_not_stop_what_is_pending_already(table):
    async def test(b):
        await program(b, table, 5, MASK)
        await b.ring(table, 5)
        await set_ignore(b, table, 5, MASK)
        assert await b.is_pending(table, 5)
        await set_ignore(b, table, 5, 0)
        await b.idle()
        assert not await b.is_pending(table, 5)

    assert messages(Bench().run(test)) == [message(table, 5)]


@BOTH
def test_ignore_does_not_stop_what_is_no_completion(table):
    async def test(b):
        await set_ignore(b, table, 0, 0)
        await b.ring(table, 0, completion=0)

    assert messages(Bench().run(test)) == [message(table, 0)]


@BOTH
def test_masked_event_that_is_no_completion_is_held_in_spite_of_ignore(table):
    async def test(b):
        await set_ignore(b, table, 0, MASK)
        await b.ring(table, 0, completion=0)
        await b.idle()
        assert await b.is_pending(table, 0)
        assert not b.messages
        await set_ignore(b, table, 0, 0)

    assert messages(Bench().run(test)) == [message(table, 0)]


@BOTH
def test_each_event_of_a_burst_is_judged_by_itself(table):
    """One in every clock: completions and others, of a vector with Ignore and one without."""

    async def test(b):
        await set_ignore(b, table, 0, 0)
        await program(b, 1 - table, 1)
        await b.idle()
        port = b.dut.i_event
        b.ctx.set(port.valid, 1)
        for number in range(32):
            own, completion = number & 1, number >> 1 & 1
            event = {"ims": table ^ own, "index": own, "completion": completion}
            b.ctx.set(port.payload, event)
            _, _, ready = await b.ctx.tick().sample(port.ready)
            assert ready
        b.ctx.set(port.valid, 0)

    one, other = message(table, 0), message(1 - table, 1)
    assert messages(Bench().run(test)) == [one, other, other] * 8
