"""Registers of interrupt message storage in the host's memory, and reports of lost entries."""

import pytest

from hw.pcie.records import ReadStatus
from hw.regs import Config
from hw.regs.capabilities import constants
from hw.regs.commands import Command, FetchFailure, SoftwareError

from .control_bench import CONFIG, run
from .streams import offer

HOST = Config(ims_vectors=256, msix_vectors=4, queues=4, queue_slots=16, host_vectors=1024)
PLACE = 0x12_3456_7000


async def turn_on(ctx, bench, count=1024):
    await bench.put(ctx, "ext_host_ims", page=PLACE >> 12)
    await bench.put(ctx, "ext_host_count", vectors=count)
    await bench.put(ctx, "ext_control", host_memory_ims=1)


def test_table_is_where_software_says_and_stays_there_while_it_is_used():
    async def scenario(ctx, bench):
        table = bench.dut.table
        assert (await bench.get(ctx, "ext_features"))["host_memory_ims"] == 1
        assert (await bench.get(ctx, "ext_host_count"))["most"] == 1024
        assert not ctx.get(table.enable)
        await turn_on(ctx, bench, count=777)
        for _ in range(2):
            assert (ctx.get(table.enable), ctx.get(table.count)) == (1, 777)
            assert ctx.get(table.page) << 12 == PLACE
            await bench.write(ctx, bench.offset("ext_host_ims"), 0)
            await bench.write(ctx, bench.offset("ext_host_count"), 5)
        assert await bench.get(ctx, "ext_host_count") == {"vectors": 777, "most": 1024}
        await bench.put(ctx, "ext_control")
        await bench.put(ctx, "ext_host_count", vectors=12)
        assert ctx.get(table.count) == 12

    run(scenario, config=HOST)


def test_reset_device_takes_the_storage_back_to_the_device():
    async def scenario(ctx, bench):
        await turn_on(ctx, bench)
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        assert not ctx.get(bench.dut.table.enable)
        assert not any((await bench.get(ctx, "ext_host_ims")).values())
        assert (await bench.get(ctx, "ext_host_count"))["vectors"] == 0

    run(scenario, config=HOST)


@pytest.mark.parametrize("every", [0, 1])
@pytest.mark.parametrize("held", [0, 1])
def test_sync_is_active_until_the_store_has_answered(every, held):
    async def scenario(ctx, bench):
        dut, written = bench.dut, {"index": 0x3A5, "every": every}
        await turn_on(ctx, bench)
        await bench.put(ctx, "ext_sync", **written)
        # Another one meanwhile is ignored.
        await bench.put(ctx, "ext_sync", index=7)
        assert (await bench.get(ctx, "ext_sync"))["active"] == 1
        assert ctx.get(dut.o_sync.valid)
        sync = ctx.get(dut.o_sync.p)
        assert {"index": sync.index, "every": sync.every} == written
        ctx.set(dut.o_sync.ready, 1)
        await ctx.tick()
        ctx.set(dut.o_sync.ready, 0)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.o_sync.valid)
        assert (await bench.get(ctx, "ext_sync"))["active"] == 1
        await offer(ctx, dut.i_synced, {"other": held})
        status = await bench.get(ctx, "ext_sync")
        assert (status["active"], status["held"]) == (0, held)

    run(scenario, config=HOST)


def test_nothing_is_synced_while_the_storage_is_on_the_device():
    async def scenario(ctx, bench):
        await bench.put(ctx, "ext_sync", every=1)
        assert not ctx.get(bench.dut.o_sync.valid)
        assert not (await bench.get(ctx, "ext_sync"))["active"]

    run(scenario, config=HOST)


@pytest.mark.parametrize("logged", [0, 1])
@pytest.mark.parametrize("failure", FetchFailure)
def test_entry_that_could_not_be_had_is_reported_with_its_number(failure, logged):
    async def scenario(ctx, bench):
        assert await bench.enable(ctx, log=logged) == 0
        error = {"index": 0x3FE, "status": ReadStatus(int(failure))}
        await offer(ctx, bench.dut.i_fetch_error, error)
        await ctx.tick().repeat(60)
        shown = bench.entry(0) if logged else await bench.get(ctx, "swerror")
        assert (shown["code"], shown["info_valid"]) == (SoftwareError.ENTRY_FETCH, 1)
        assert shown["info"] == 0x3FE | int(failure) << 24
        if logged:
            assert not (await bench.get(ctx, "swerror"))["valid"]

    run(scenario, config=HOST)


def test_handles_are_those_of_the_table_in_use():
    async def scenario(ctx, bench):
        ims = 1 << 16
        assert (await bench.command(ctx, Command.REQUEST_HANDLE, 700 | ims))[0]
        await turn_on(ctx, bench, count=701)
        assert await bench.command(ctx, Command.REQUEST_HANDLE, 700 | ims) == (0, 700)
        assert (await bench.command(ctx, Command.REQUEST_HANDLE, 701 | ims))[0]

    run(scenario, config=HOST)


def test_device_without_it_has_none_of_its_registers():
    async def scenario(ctx, bench):
        assert "ext_host_count" not in constants(CONFIG)
        assert (await bench.get(ctx, "ext_features"))["host_memory_ims"] == 0
        start = bench.offset("ext_control")
        for place in range(start, start + 0x20, 8):
            await bench.write(ctx, place, (1 << 64) - 1)
            assert await bench.read(ctx, place) == (1 if place == start else 0)
        assert not ctx.get(bench.dut.table.enable)

    run(scenario)
