"""What is wrong with a descriptor is found before anything is executed (DSA §5.4, §5.5)."""

import pytest

from hw.pcie.records import ReadStatus
from hw.regs.commands import Command
from hw.regs.descriptor import Flag, Opcode, Status

from .work_bench import CONFIG, Bench, descriptor

VALID = Flag.COMPLETION_ADDRESS_VALID
RECORD = VALID | Flag.REQUEST_COMPLETION
INTERRUPT = Flag.REQUEST_INTERRUPT
SHARED = {}
DEDICATED = {"dedicated": 1, "pasid_enable": 0}
MOVE = {"source": 0x10000, "destination": 0x20000, "size_bytes": 64}


def run(scenario, **options):
    bench = Bench(**options)

    async def wrapped(ctx):
        await scenario(ctx, bench)

    bench.run(wrapped)


async def outcome(ctx, bench, word, **options):
    """Submit to a shared queue 0; the completion record."""
    bench.memory.clear()
    assert await bench.submit(ctx, 0, word, **options) == 1
    record = await bench.completion(ctx)
    await ctx.tick().repeat(30)
    return record


async def silence(ctx, bench, word, **options):
    """Submit to a shared queue 0 and wait until it has been worked off."""
    assert await bench.submit(ctx, 0, word, **options) == 1
    await ctx.tick().repeat(100)


def test_unknown_opcodes_are_refused():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for opcode in (0x0A, 0x0F, 0x12, 0x1F, 0x21, 0x42, 0x43, 0x80, 0xFF):
            record = await outcome(ctx, bench, descriptor(opcode))
            assert record["status"] == Status.BAD_OPCODE, opcode
        assert not bench.reads

    run(scenario)


def test_opcode_that_the_queue_does_not_allow_is_refused():
    async def scenario(ctx, bench):
        await bench.write(ctx, bench.queue_offset(0, "operations"), 1 << Opcode.NOP)
        await bench.bring_up(ctx, SHARED)
        record = await outcome(ctx, bench, descriptor(Opcode.MEMORY_MOVE, **MOVE))
        assert record["status"] == Status.BAD_OPCODE
        record = await outcome(ctx, bench, descriptor(Opcode.DRAIN))
        assert record["status"] == Status.BAD_OPCODE
        assert (await outcome(ctx, bench, descriptor()))["status"] == Status.SUCCESS

    run(scenario)


SOME_FAULTS = [
    (Opcode.NOP, {"source": 1}, Status.RESERVED_NOT_ZERO),
    (Opcode.BATCH, {"source": 0x10000, "size_bytes": 0}, Status.BAD_DESCRIPTOR_COUNT),
    (Opcode.BATCH, {"source": 0x10020, "size_bytes": 2}, Status.LIST_ALIGNMENT),
    (Opcode.DRAIN, {"destination": 1}, Status.RESERVED_NOT_ZERO),
    (Opcode.MEMORY_MOVE, MOVE | {"destination": 0x10010}, Status.OVERLAP),
    (Opcode.FILL, {"destination": 0x20000, "size_bytes": 0}, Status.BAD_TRANSFER_SIZE),
    (Opcode.COMPARE, MOVE | {"size_bytes": 1 << 31}, Status.BAD_TRANSFER_SIZE),
    (Opcode.COMPARE_PATTERN, MOVE | {"specific": 1 << 8}, Status.RESERVED_NOT_ZERO),
    (Opcode.CREATE_DELTA, MOVE | {"specific": 0x30000 | 79 << 64}, Status.BAD_VALUE),
    (Opcode.APPLY_DELTA, MOVE | {"destination": 0x20004, "specific": 10}, Status.ADDRESS_ALIGNMENT),
    (Opcode.DUALCAST, MOVE | {"specific": 0x30001}, Status.DUALCAST_ALIGNMENT),
    (Opcode.CRC, MOVE, Status.RESERVED_NOT_ZERO),
    (Opcode.COPY_CRC, MOVE | {"specific": 1 << 64}, Status.RESERVED_NOT_ZERO),
    (Opcode.CACHE_FLUSH, MOVE, Status.RESERVED_NOT_ZERO),
]


def test_fault_goes_into_the_record_and_nothing_else_happens():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for number, (opcode, fields, status) in enumerate(SOME_FAULTS, 1):
            record = await outcome(ctx, bench, descriptor(opcode, **fields))
            assert (record["status"], record["bytes_completed"]) == (status, 0), opcode
            assert len(bench.writes()) == number
        assert bench.reads == []

    run(scenario)


def test_invalid_flags_are_named_in_the_record():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        word = descriptor(Opcode.MEMORY_MOVE, flags=RECORD | 0xFF0000 | Flag.FENCE, **MOVE)
        record = await outcome(ctx, bench, word)
        assert record["status"] == Status.BAD_FLAGS
        assert record["invalid_flags"] == 0xFF0000 | Flag.FENCE

    run(scenario)


def test_flags_that_need_a_record_are_invalid_without_one():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for flag in (Flag.REQUEST_COMPLETION, Flag.COMPLETION_TRAFFIC_CLASS):
            await silence(ctx, bench, descriptor(flags=flag, pasid=0x12345))
            error = await bench.get(ctx, "swerror")
            assert (error["valid"], error["code"]) == (1, Status.BAD_FLAGS)
            assert (error["info_valid"], error["info"]) == (1, flag)
            assert (error["queue_valid"], error["queue"]) == (1, 0)
            assert (error["descriptor_valid"], error["opcode"]) == (1, Opcode.NOP)
            assert error["pasid"] == 0x12345
            await bench.write(ctx, bench.offset("swerror"), 3)
        assert not bench.writes()

    run(scenario)


def test_drain_must_ask_for_a_record_or_an_interrupt():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        record = await outcome(ctx, bench, descriptor(Opcode.DRAIN, flags=VALID))
        assert record["status"] == Status.BAD_FLAGS
        assert record["invalid_flags"] == Flag.REQUEST_COMPLETION | INTERRUPT
        assert (await outcome(ctx, bench, descriptor(Opcode.DRAIN)))["status"] == Status.SUCCESS

    run(scenario)


def test_record_address_without_its_flag_must_be_zero():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        await silence(ctx, bench, descriptor(flags=0, completion_address=0x40))
        assert (await bench.get(ctx, "swerror"))["code"] == Status.RESERVED_NOT_ZERO

    run(scenario)


def test_misaligned_record_is_reported_and_nothing_else_happens():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for address in (1, 0x1010, 0x100F):
            word = descriptor(
                Opcode.MEMORY_MOVE,
                flags=RECORD | INTERRUPT,
                completion_address=address,
                handle=3,
                **MOVE,
            )
            await silence(ctx, bench, word)
            error = await bench.get(ctx, "swerror")
            assert error["code"] == Status.COMPLETION_ALIGNMENT
            await bench.write(ctx, bench.offset("swerror"), 1)
        assert bench.log == []
        assert bench.reads == []

    run(scenario)


def test_privilege_needs_its_setting():
    async def scenario(ctx, bench):
        bench.set_settings(ctx, privileged=0)
        await bench.bring_up(ctx, SHARED)
        await silence(ctx, bench, descriptor(privileged=1, pasid=4))
        error = await bench.get(ctx, "swerror")
        assert error["code"] == Status.PRIVILEGE
        assert (error["privileged"], error["pasid"]) == (1, 4)
        assert not bench.writes()

    run(scenario)


def test_transfer_size_is_bounded_by_the_queue():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED | {"max_transfer_log2": 7})
        for size, status in (
            (0, Status.BAD_TRANSFER_SIZE),
            (1, Status.SUCCESS),
            (128, Status.SUCCESS),
            (129, Status.BAD_TRANSFER_SIZE),
            (0xFFFFFFFF, Status.BAD_TRANSFER_SIZE),
        ):
            word = descriptor(Opcode.MEMORY_MOVE, **(MOVE | {"size_bytes": size}))
            assert (await outcome(ctx, bench, word))["status"] == status, size

    run(scenario)


def test_permission_is_checked_before_anything_is_executed():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        bench.permit = lambda ims, index, pasid, enable: (ims, index, pasid, enable) == (1, 5, 8, 1)
        word = {"flags": RECORD | INTERRUPT, **MOVE}
        record = await outcome(
            ctx, bench, descriptor(Opcode.MEMORY_MOVE, pasid=9, handle=5, **word), portal=2
        )
        assert record["status"] == Status.BAD_HANDLE
        assert bench.reads == []
        assert bench.events() == []
        assert len(bench.writes()) == 1
        assert not (await bench.get(ctx, "swerror"))["valid"]
        record = await outcome(
            ctx, bench, descriptor(Opcode.MEMORY_MOVE, pasid=8, handle=5, **word), portal=2
        )
        assert record["status"] == Status.SUCCESS
        assert bench.events() == [(1, 5)]

    run(scenario)


def test_bad_handle_without_a_record_is_reported():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        bench.permit = lambda *asked: False
        await silence(ctx, bench, descriptor(flags=INTERRUPT, handle=0x123, pasid=6), portal=2)
        error = await bench.get(ctx, "swerror")
        assert (error["code"], error["info_valid"]) == (Status.BAD_HANDLE, 1)
        assert (error["info"], error["pasid"]) == (0x123, 6)
        assert bench.log == []

    run(scenario)


@pytest.mark.parametrize(
    ("portal", "handles"),
    [(0, (CONFIG.msix_vectors, 0x4001, 0xFFFF)), (2, (CONFIG.ims_vectors, 0x4000, 0xFFFF))],
)
def test_handle_beyond_its_table_is_refused(portal, handles):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for handle in handles:
            word = descriptor(flags=RECORD | INTERRUPT, handle=handle)
            record = await outcome(ctx, bench, word, portal=portal)
            assert record["status"] == Status.BAD_HANDLE, handle
        assert bench.events() == []

    run(scenario)


def test_portal_selects_the_table():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for portal in range(4):
            await outcome(ctx, bench, descriptor(flags=RECORD | INTERRUPT, handle=3), portal=portal)
        assert bench.events() == [(0, 3), (0, 3), (1, 3), (1, 3)]

    run(scenario)


def test_users_ask_for_interrupts_only_where_that_is_enabled():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED, DEDICATED, user_interrupts=0)
        flags = RECORD | INTERRUPT
        record = await outcome(ctx, bench, descriptor(flags=flags, handle=1, pasid=1))
        assert (record["status"], record["invalid_flags"]) == (Status.BAD_FLAGS, INTERRUPT)
        assert bench.events() == []
        assert bench.checks == []
        # Supervisors may, and so may queues without PASIDs.
        record = await outcome(ctx, bench, descriptor(flags=flags, handle=1, pasid=1, privileged=1))
        assert record["status"] == Status.SUCCESS
        bench.memory.clear()
        assert await bench.submit(ctx, 1, descriptor(flags=flags, handle=2), deferrable=0) == 1
        assert (await bench.completion(ctx))["status"] == Status.SUCCESS
        await ctx.tick().repeat(30)
        assert bench.events() == [(0, 1), (0, 2)]

    run(scenario)


def test_faulty_descriptor_rings_if_it_may():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        word = descriptor(Opcode.MEMORY_MOVE, flags=RECORD | INTERRUPT, handle=2, **MOVE)
        record = await outcome(ctx, bench, word & ~(0xFFFFFFFF << 256))
        assert record["status"] == Status.BAD_TRANSFER_SIZE
        assert [entry[0] for entry in bench.log] == ["write", "event"]
        bench.permit = lambda *asked: False
        record = await outcome(ctx, bench, word & ~(0xFFFFFFFF << 256))
        assert record["status"] == Status.BAD_TRANSFER_SIZE
        assert len(bench.events()) == 1

    run(scenario)


def test_record_is_written_only_on_request_or_failure():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        await silence(ctx, bench, descriptor(flags=VALID))
        assert bench.log == []
        await silence(ctx, bench, descriptor(flags=VALID | INTERRUPT, handle=1))
        assert bench.log == [("event", 0, 1)]
        await silence(ctx, bench, descriptor(flags=0))
        await silence(ctx, bench, descriptor(0x7F, flags=VALID))
        assert len(bench.writes()) == 1
        assert bench.record()["status"] == Status.BAD_OPCODE

    run(scenario)


@pytest.mark.parametrize(
    "status",
    [
        ReadStatus.UNSUPPORTED_REQUEST,
        ReadStatus.COMPLETER_ABORT,
        ReadStatus.POISONED,
        ReadStatus.TIMEOUT,
    ],
)
def test_failed_read_ends_the_move(status):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        slot = CONFIG.read_slot_bytes
        source = 0x10000 + slot - 24
        bench.read_faults = {0x10000 + 2 * slot: status}
        word = descriptor(
            Opcode.MEMORY_MOVE,
            flags=RECORD | INTERRUPT,
            handle=1,
            source=source,
            destination=0x20003,
            size_bytes=4 * slot,
        )
        record = await outcome(ctx, bench, word)
        assert record["status"] == Status.HARDWARE
        assert record["bytes_completed"] == slot + 24
        written = [entry for entry in bench.writes() if entry[1] >= 0x20000]
        assert sum(len(entry[2]) for entry in written) == slot + 24
        assert bench.events() == [(0, 1)]
        # The next one is not touched by that.
        bench.read_faults = {}
        assert (await outcome(ctx, bench, word))["status"] == Status.SUCCESS

    run(scenario)


def test_failed_read_without_a_record_is_reported():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        bench.read_faults = {0x10000: ReadStatus.TIMEOUT}
        await silence(ctx, bench, descriptor(Opcode.MEMORY_MOVE, flags=0, pasid=2, **MOVE))
        error = await bench.get(ctx, "swerror")
        assert (error["code"], error["opcode"], error["pasid"]) == (0x20, 3, 2)

    run(scenario)


def test_whose_memory_it_is():
    async def scenario(ctx, bench):
        await bench.bring_up(
            ctx,
            {},
            {"dedicated": 1, "pasid": 0x55},
            {"dedicated": 1, "pasid": 0x66, "pasid_enable": 0},
        )
        word = descriptor(Opcode.MEMORY_MOVE, pasid=0xABCDE, privileged=1, **MOVE)
        for queue, pasid in ((0, 0xABCDE), (1, 0x55), (2, None)):
            bench.memory.clear()
            bench.log.clear()
            assert await bench.submit(ctx, queue, word, deferrable=queue == 0) == 1
            await bench.completion(ctx)
            assert {entry[3] for entry in bench.writes()} == {pasid}
            assert bench.reads[-1][2] == (int(pasid is not None), pasid or 0)

    run(scenario)


def test_any_sixty_four_bytes_end():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED | {"size": 8}, DEDICATED)
        rng = bench.rng
        for number in range(150):
            word = rng.getrandbits(512)
            if rng.random() < 0.7:
                word = descriptor(
                    rng.choice((0, 2, 3)),
                    flags=RECORD,
                    source=rng.getrandbits(64),
                    destination=rng.getrandbits(64),
                    size_bytes=rng.choice((0, 1, 77, 300)),
                )
                for _ in range(rng.randrange(3)):
                    word ^= 1 << rng.randrange(512)
            bench.permit = lambda *asked: rng.random() < 0.5
            queue = number & 1
            await bench.submit(ctx, queue, word, deferrable=1 - queue, portal=rng.randrange(4))
            if number % 3 == 0:
                assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        assert (await outcome(ctx, bench, descriptor()))["status"] == Status.SUCCESS

    run(scenario, seed=11)


def test_no_op_takes_at_most_forty_clocks():
    bench = Bench()
    bench.write_cycles = 8

    async def scenario(ctx):
        await bench.bring_up(ctx, SHARED | {"size": 16})
        ctx.set(bench.dut.stall, 1)
        for number in range(16):
            word = descriptor(
                flags=RECORD | INTERRUPT, handle=1, completion_address=0x1000 + 32 * number
            )
            assert await bench.submit(ctx, 0, word) == 1
        ctx.set(bench.dut.stall, 0)
        begin = bench.clock
        while len(bench.events()) < 16:
            await ctx.tick()
        cycles = (bench.clock - begin) / 16
        print(f"{cycles:.1f} clocks for each no-op with record and interrupt")
        assert cycles <= 40

    bench.run(scenario)
