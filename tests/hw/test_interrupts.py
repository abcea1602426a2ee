"""What message storage promises, and the mistakes that others made."""

import pytest

from .interrupts_bench import (
    BOTH,
    IGNORE,
    IMS,
    MASK,
    MSIX,
    PASID_ENABLE,
    PENDING,
    WINDOW,
    Bench,
    address_of,
    message,
    messages,
    program,
)

LAST = {MSIX: 63, IMS: 255}


@BOTH
def test_entries_are_masked_and_empty_after_reset(table):
    async def test(b):
        for index in (0, 1, LAST[table]):
            assert await b.read(table, index) == (WINDOW if table == IMS else 0)
            assert await b.read(table, index, 1) == MASK << 32
        assert await b.pending_words() == [0]

    Bench().run(test)


@BOTH
def test_an_event_becomes_its_message(table):
    async def test(b):
        await program(b, table, 7)
        await b.ring(table, 7)

    assert messages(Bench().run(test)) == [message(table, 7)]


@BOTH
def test_message_is_valid_two_clocks_after_the_event(table):
    async def test(b):
        await program(b, table, 7)
        await b.idle()
        port, out = b.dut.i_event, b.dut.o_message
        b.ctx.set(port.payload, {"ims": table, "index": 7})
        b.ctx.set(port.valid, 1)
        assert b.ctx.get(port.ready)
        await b.tick()
        b.ctx.set(port.valid, 0)
        assert not b.ctx.get(out.valid)
        await b.tick()
        assert b.ctx.get(out.valid)

    Bench().run(test)


@pytest.mark.parametrize("vectors", [[(IMS, 3)], [(MSIX, 3)], [(IMS, 3), (MSIX, 60), (IMS, 255)]])
def test_one_message_per_clock(vectors):
    async def test(b):
        for table, index in set(vectors):
            await program(b, table, index)
        await b.idle()
        port = b.dut.i_event
        b.ctx.set(port.valid, 1)
        for number in range(100):
            table, index = vectors[number % len(vectors)]
            b.ctx.set(port.payload, {"ims": table, "index": index})
            _, _, ready = await b.ctx.tick().sample(port.ready)
            assert ready
        b.ctx.set(port.valid, 0)

    b = Bench().run(test)
    assert messages(b) == [message(*vectors[n % len(vectors)]) for n in range(100)]
    clocks = [clock for _, _, clock in b.messages]
    assert clocks == list(range(clocks[0], clocks[0] + 100))


@BOTH
def test_masked_vector_stays_pending_and_is_sent_once_when_unmasked(table):
    async def test(b):
        await program(b, table, 9, MASK)
        for _ in range(3):
            await b.ring(table, 9)
        await b.idle()
        assert await b.is_pending(table, 9)
        assert not b.messages
        await program(b, table, 9)
        await b.idle()
        assert messages(b) == [message(table, 9)]
        assert not await b.is_pending(table, 9)
        await program(b, table, 9, MASK)
        await program(b, table, 9)

    assert messages(Bench().run(test)) == [message(table, 9)]


@BOTH
def test_raising_masked_vector_40_pends_exactly_vector_40(table):
    """Peers' mistake 1: the pending bit was written at one index and read at another."""

    async def test(b):
        for index in range(64):
            await program(b, table, index, MASK if index == 40 else 0)
        if table == IMS:
            await program(b, IMS, 104)
        await b.ring(table, 40)
        await b.idle()
        if table == MSIX:
            assert await b.pending_words() == [1 << 40]
        for index in range(64):
            pending = bool(await b.read(IMS, index, 1) >> 32 & PENDING)
            assert pending == (table == IMS and index == 40)
        assert not b.messages
        await program(b, table, 40)

    assert messages(Bench().run(test)) == [message(table, 40)]


@BOTH
def test_masked_pending_vector_blocks_no_other(table):
    """Peers' mistake 2."""

    async def test(b):
        for index in (1, 2, 3):
            await program(b, table, index, MASK)
            await b.ring(table, index)
        await program(b, table, 2)
        await b.ring(table, 2)
        await program(b, table, 3)
        await b.idle()
        assert await b.is_pending(table, 1)

    b = Bench().run(test)
    assert messages(b) == [message(table, 2), message(table, 2), message(table, 3)]


@BOTH
def test_masked_event_is_held_not_dropped_and_address_is_whole(table):
    """Peers' mistake 4."""

    async def test(b):
        await program(b, table, 0, MASK)
        await b.ring(table, 0)
        await program(b, table, 0)

    assert messages(Bench().run(test)) == [message(table, 0)]


def test_function_mask_holds_msix_and_nothing_else():
    """Peers' mistake 4."""

    async def test(b):
        await program(b, MSIX, 4)
        await program(b, IMS, 4)
        b.ctx.set(b.dut.function_mask, 1)
        await b.tick(2)
        await b.ring(MSIX, 4)
        await b.ring(IMS, 4)
        await b.idle()
        assert await b.pending_words() == [1 << 4]
        assert messages(b) == [message(IMS, 4)]
        b.ctx.set(b.dut.function_mask, 0)
        await b.tick(2)
        await b.idle()
        assert await b.pending_words() == [0]

    assert messages(Bench().run(test)) == [message(IMS, 4), message(MSIX, 4)]


@pytest.mark.parametrize("name", ["enable", "bus_master"])
def test_events_wait_while_switched_off(name):
    async def test(b):
        await program(b, MSIX, 4)
        await program(b, IMS, 4)
        b.ctx.set(getattr(b.dut, name), 0)
        await b.tick(2)
        await b.ring(MSIX, 4)
        await b.ring(IMS, 4)
        await b.idle()
        expected = [] if name == "bus_master" else [message(IMS, 4)]
        assert messages(b) == expected
        assert await b.is_pending(IMS, 4) == (name == "bus_master")
        # Unmasking does not send while something else holds the vector back.
        await program(b, MSIX, 4)
        assert messages(b) == expected
        b.ctx.set(getattr(b.dut, name), 1)
        await b.tick(2)

    assert sorted(messages(Bench().run(test))) == sorted([message(MSIX, 4), message(IMS, 4)])


@BOTH
def test_pending_is_looked_at_after_unmask_even_without_another_event(table):
    """Peers' mistake 5."""

    async def test(b):
        await program(b, table, 33, MASK)
        await b.ring(table, 33)
        await b.tick(500)
        await b.write(table, 33, 1, 0, strobe=0x10)
        await b.tick(8)
        assert messages(b) == [message(table, 33)]

    Bench().run(test)


@pytest.mark.parametrize("ims,msix", [(256, 64), (512, 2), (256, 256), (768, 128)])
def test_last_entries_do_not_alias_the_first(ims, msix):
    """Peers' mistake 6."""

    async def test(b):
        ends = [(IMS, 0), (IMS, ims - 1), (MSIX, 0), (MSIX, msix - 1)]
        for table, index in ends:
            await program(b, table, index)
        for table, index in ends:
            assert await b.read(table, index) == address_of(table, index)
            await b.ring(table, index)
        await b.idle()
        assert messages(b) == [message(*vector) for vector in ends]
        for table, index in ends:
            await program(b, table, index, MASK)
        for held in ends:
            await b.ring(*held)
            await b.idle()
            for vector in ends:
                assert await b.is_pending(*vector) == (vector == held)
            await program(b, *held)
            await program(b, *held, MASK)

    Bench(ims, msix).run(test)


@BOTH
def test_vectors_that_do_not_exist_ring_nothing_and_may_not_be_used(table):
    async def test(b):
        for index in (0, LAST[table]):
            await program(b, table, index, MASK)
        for index in (LAST[table] + 1, 1 << 13, (1 << 14) - 1):
            await b.ring(table, index)
            assert await b.check(table, index) == 0
        await b.idle()
        assert not b.messages
        assert await b.pending_words() == [0]
        assert not await b.is_pending(IMS, 0)
        assert await b.check(table, LAST[table]) == 1

    Bench().run(test)


def test_write_out_of_the_window_is_ignored_whole():
    async def test(b):
        await b.write(IMS, 1, 0, WINDOW | 0x12344)
        for address in (0xFED1_2340, 0x1_FEE0_0000, 0, 1 << 63 | WINDOW):
            await b.write(IMS, 1, 0, address)
            assert await b.read(IMS, 1) == WINDOW | 0x12344
        # Only the result counts: half a write may leave the window, or stay inside.
        await b.write(IMS, 1, 0, 1 << 32, strobe=0xF0)
        assert await b.read(IMS, 1) == WINDOW | 0x12344
        await b.write(IMS, 1, 0, 0xFFFF_FFFF_FEE0_0013, strobe=0x0F)
        assert await b.read(IMS, 1) == WINDOW | 0x00010

    Bench().run(test)


@BOTH
def test_byte_enables_are_honoured(table):
    async def test(b):
        await program(b, table, 3, MASK)
        for upper, old in ((0, address_of(table, 3)), (1, 0xA003 | MASK << 32)):
            for byte in range(8):
                if table == IMS and not upper and byte > 1:
                    continue
                # Ignore and PASID Enable take this byte, mask does too.
                value = 0x5D << 8 * byte
                await b.write(table, 3, upper, value, strobe=1 << byte)
                old = old & ~(0xFF << 8 * byte) | value
                if not upper:
                    old &= ~3
                elif table == MSIX:
                    old &= (1 << 33) - 1
                else:
                    old &= ~((0xFF0 | PENDING) << 32)
                assert await b.read(table, 3, upper) == old

    Bench().run(test)


def test_msix_permissions_show_only_their_fields():
    async def test(b):
        entry = b.space.table("msixperm").entry(63)
        await b.access(entry, 1, (1 << 64) - 1)
        assert await b.access(entry, 0) == 0xFFFF_F00C
        await b.access(entry, 1, 0, strobe=0x80)
        assert await b.access(entry, 0) == 0xFFFF_F00C
        await b.access(entry, 1, 0, strobe=0x08)
        assert await b.access(entry, 0) == 0x00FF_F00C

    Bench().run(test)


@BOTH
def test_permission_needs_the_right_pasid(table):
    async def test(b):
        async def permit(value):
            if table == IMS:
                await b.write(IMS, 8, 1, (value | MASK | IGNORE) << 32)
            else:
                await b.access(b.space.table("msixperm").entry(8), 1, value)

        await permit(0)
        assert await b.check(table, 8, 0x12345, 0) == 1
        assert await b.check(table, 8, 0, 1) == 0
        await permit(0xABCDE << 12 | PASID_ENABLE)
        assert await b.check(table, 8, 0xABCDE, 1) == 1
        assert await b.check(table, 8, 0xABCDE, 0) == 0
        for bit in range(20):
            assert await b.check(table, 8, 0xABCDE ^ 1 << bit, 1) == 0
        assert await b.check(1 - table, 8, 0xABCDE, 1) == 0

    Bench().run(test)


@BOTH
def test_one_check_per_clock(table):
    async def test(b):
        await b.idle()
        i, o = b.dut.i_check, b.dut.o_verdict
        b.ctx.set(i.valid, 1)
        seen = []
        for number in range(50):
            use = {"vector": {"ims": table, "index": 8}, "pasid": 0, "pasid_enable": number & 1}
            b.ctx.set(i.payload, use)
            _, _, ready, valid, verdict = await b.ctx.tick().sample(i.ready, o.valid, o.payload)
            assert ready
            assert valid == (number >= 3)
            seen.append(verdict)
        assert seen[3:] == ([1, 0] * 24)[:47]

    Bench().run(test)


@BOTH
def test_read_is_answered_after_earlier_messages_have_left(table):
    async def test(b):
        await program(b, table, 2)
        await b.idle()
        b.stop = True
        await b.tick(2)
        await b.ring(table, 2)
        await b.ring(table, 2)
        csr = b.dut.csr
        await b.tick(1)
        b.ctx.set(
            csr.access.payload, {"address": b.offset(table, 2), "write": 0, "strobe": 0, "data": 0}
        )
        b.ctx.set(csr.access.valid, 1)
        b.ctx.set(csr.result.ready, 1)
        for _ in range(100):
            _, _, valid, ready = await b.ctx.tick().sample(csr.result.valid, csr.access.ready)
            assert not valid
            assert not ready
        b.stop = False
        assert await b.read(table, 2) == address_of(table, 2)
        assert messages(b) == [message(table, 2)] * 2

    Bench().run(test)


def test_reset_of_ims_spares_the_msix_table():
    async def test(b):
        permission = b.space.table("msixperm").entry(6)
        for table in (MSIX, IMS):
            await program(b, table, 6, MASK | PASID_ENABLE * table)
            await b.ring(table, 6)
        await b.access(permission, 1, 0x5000 | PASID_ENABLE)
        b.ctx.set(b.dut.reset_ims, 1)
        await b.tick()
        b.ctx.set(b.dut.reset_ims, 0)
        await b.idle()
        assert await b.read(IMS, 6) == WINDOW
        assert await b.read(IMS, 6, 1) == MASK << 32
        assert await b.access(permission, 0) == 0
        assert await b.read(MSIX, 6) == address_of(MSIX, 6)
        assert await b.read(MSIX, 6, 1) == 0xA006 | MASK << 32
        assert await b.pending_words() == [1 << 6]

    Bench().run(test)


@pytest.mark.parametrize("pause", [0.0, 0.5, 0.9])
def test_nothing_is_lost_or_doubled_under_back_pressure(pause):
    async def test(b):
        for index in range(8):
            await program(b, IMS, index)
        for number in range(300):
            await b.ring(IMS, number * 5 % 8)
            if number % 50 == 0:
                await b.read(IMS, number % 8)

    b = Bench(pause=pause).run(test)
    assert messages(b) == [message(IMS, n * 5 % 8) for n in range(300)]


def test_busy_until_the_last_message_has_left():
    async def test(b):
        await program(b, IMS, 2)
        await b.idle()
        b.stop = True
        await b.tick(2)
        await b.ring(IMS, 2)
        await b.tick(50)
        assert b.ctx.get(b.dut.busy)
        b.stop = False
        await b.tick(3)
        assert not b.ctx.get(b.dut.busy)

    Bench().run(test)


@pytest.mark.parametrize("window", [0xFEE0_0000, 0xFFFF_FFFF_0AB0_0000])
def test_window_is_a_parameter(window):
    async def test(b):
        assert await b.read(IMS, 255) == window
        await b.program(IMS, 255, window | 0xFFFFC, 1)
        await b.ring(IMS, 255)

    assert messages(Bench(window=window).run(test)) == [(window | 0xFFFFC, 1)]
