"""Reads through the requester, against a host that answers as it likes."""

import random

import pytest

from hw.pcie.records import ErrorKind, ReadStatus
from hw.tlp.records import Status

from .requester_bench import Bench, random_commands
from .requester_host import ROUTING_ID, Answer, byte_at, chunk_bytes


@pytest.mark.parametrize(
    ("seed", "pause", "rcb", "data_width", "max_read"),
    [
        (1, 0.0, 64, 64, 512),
        (2, 0.4, 64, 64, 128),
        (3, 0.1, 128, 128, 256),
        (4, 0.2, 64, 256, 4096),
        (5, 0.2, 4, 64, 256),
    ],
)
def test_reads_arrive_whole_and_in_order(seed, pause, rcb, data_width, max_read):
    bench = Bench(
        seed, pause=pause, rcb=rcb, data_width=data_width, settings={"max_read_bytes": max_read}
    )
    commands = list(random_commands(bench.rng, 40, 1500))
    wanted = sum(len(list(bench.expected_chunks(*command))) for command in commands)

    async def main(ctx):
        for command in commands:
            await bench.read(ctx, *command)
        await bench.chunks.wait(ctx, wanted)
        await bench.idle(ctx)
        assert not ctx.get(bench.dut.pending)

    bench.run(main)
    bench.check(commands)
    assert not bench.errors.taken


def test_failed_reads_leak_no_tag():
    rng = random.Random(7)
    kinds = [Answer.GOOD, *(kind for kind in Answer if kind is not Answer.NEVER)]
    bench = Bench(6, pause=0.05, choose=lambda _: rng.choice(kinds), tags=4)
    commands = list(random_commands(bench.rng, 300, 400))
    wanted = sum(len(list(bench.expected_chunks(*command))) for command in commands)

    async def main(ctx):
        for command in commands:
            await bench.read(ctx, *command)
        await bench.chunks.wait(ctx, wanted)
        await bench.idle(ctx)
        assert not ctx.get(bench.dut.pending)

    bench.run(main)
    bench.check(commands)
    kinds = {report.kind for report in bench.errors.taken}
    assert kinds == {ErrorKind.POISONED, ErrorKind.MALFORMED}
    assert {read.header.tag for read in bench.host.reads} == set(range(4))


def test_unanswered_reads_time_out_and_give_their_tags_back():
    rng = random.Random(21)
    bench = Bench(
        20,
        choose=lambda _: rng.choice((Answer.GOOD, Answer.GOOD, Answer.NEVER)),
        tags=4,
        completion_timeout_cycles=200,
    )
    commands = list(random_commands(bench.rng, 25, 400))
    wanted = sum(len(list(bench.expected_chunks(*command))) for command in commands)
    bench.host.check = lambda header: bench.host.open.pop(header.tag, None)

    async def main(ctx):
        for command in commands:
            await bench.read(ctx, *command)
        await bench.chunks.wait(ctx, wanted)
        await bench.idle(ctx)
        assert not ctx.get(bench.dut.pending)

    bench.run(main)
    bench.check(commands)
    given_up = sum(read.answer is Answer.NEVER for read in bench.host.reads)
    timeouts = list(bench.errors.taken)
    assert {report.kind for report in timeouts} == {ErrorKind.COMPLETION_TIMEOUT}
    assert len(timeouts) == given_up > 5
    assert not any(report.header_valid or report.advisory for report in timeouts)


@pytest.mark.parametrize("timeout", [64, 300, 1000])
def test_timeout_comes_within_its_bounds(timeout):
    bench = Bench(22, choose=lambda _: Answer.NEVER, completion_timeout_cycles=timeout, tags=4)
    waits = []

    async def main(ctx):
        for gap in (1, 3, 17, 50):
            await ctx.tick().repeat(gap)
            start = bench.host.requests.clock
            await bench.read(ctx, 0x1000, 8)
            await bench.chunks.wait(ctx, len(waits) + 1)
            waits.append(bench.chunks.clock - start)

    bench.host.check = lambda _: None
    bench.run(main)
    for wait in waits:
        assert timeout <= wait <= timeout * 9 // 8 + 3 * 4 + 16


def test_disabled_timeout_waits_for_ever():
    bench = Bench(23, settings={"timeout_disable": 1}, completion_timeout_cycles=64)
    bench.host.hold = True

    async def main(ctx):
        await bench.read(ctx, 0x1000, 8)
        await bench.idle(ctx, 2000)
        assert ctx.get(bench.dut.pending)
        bench.host.hold = False
        await bench.chunks.wait(ctx, 1)

    bench.run(main)
    bench.check([(0x1000, 8)])


def test_completion_after_its_timeout_is_unexpected_and_harms_no_later_read():
    bench = Bench(24, tags=4, completion_timeout_cycles=64)
    bench.host.hold = True
    late = []

    async def main(ctx):
        await bench.read(ctx, 0x1000, 64)
        await bench.chunks.wait(ctx, 1)
        (read,) = bench.host.open.values()
        bench.host.open.clear()
        late.append(read)
        # The tag rests: the other three serve in turn.
        bench.host.hold = False
        for number in range(5):
            await bench.read(ctx, 0x2000 + 64 * number, 64)
        await bench.idle(ctx, 20)
        fields, words = read.parts[0]
        bench.host.injected.append((fields, [~word & 0xFFFF_FFFF for word in words]))
        await bench.chunks.wait(ctx, 6)

    bench.run(main)
    read = late[0]
    assert read.header.tag not in {other.header.tag for other in bench.host.reads[1:6]}
    statuses = [beats[0].header.status for beats in bench.chunks.taken]
    assert statuses == [ReadStatus.TIMEOUT] + [ReadStatus.SUCCESS] * 5
    for number, beats in enumerate(bench.chunks.taken[1:]):
        address = 0x2000 + 64 * number
        assert chunk_bytes(beats, 64) == bytes(byte_at(address + k) for k in range(64))
    kinds = [report.kind for report in bench.errors.taken]
    assert kinds == [ErrorKind.COMPLETION_TIMEOUT, ErrorKind.UNEXPECTED_COMPLETION]


WRONG = {
    "tag": {"tag": 3},
    "tag beyond the table": {"tag": 0x100},
    "requester": {"requester": 0x0101},
    "byte count": {"byte_count": 255},
    "lower address": {"lower_address": 4},
    "too long": {"length_dw": 65},
    "empty": {"length_dw": 0},
    "not ours, and failed": {"requester": 0x0101, "status": Status.COMPLETER_ABORT},
}


@pytest.mark.parametrize("name", WRONG)
def test_unexpected_completion_is_dropped_and_reported(name):
    bench = Bench(25)
    bench.host.hold = True

    async def main(ctx):
        await bench.read(ctx, 0x1000, 256)
        while not bench.host.open:
            await ctx.tick()
        (read,) = bench.host.open.values()
        fields = {
            "status": Status.SUCCESS,
            "length_dw": 64,
            "byte_count": 256,
            "lower_address": 0,
            "requester": ROUTING_ID,
            "tag": read.header.tag,
        } | WRONG[name]
        bench.host.injected.append((fields, [0xDEAD_BEEF] * fields["length_dw"]))
        await bench.idle(ctx, 60)
        assert not bench.chunks.taken
        assert ctx.get(bench.dut.pending)
        bench.host.hold = False
        await bench.chunks.wait(ctx, 1)

    bench.run(main)
    bench.check([(0x1000, 256)])
    (report,) = bench.errors.taken
    assert (report.kind, report.advisory) == (ErrorKind.UNEXPECTED_COMPLETION, 1)
    assert report.header_valid and not report.prefix_valid
    fields = WRONG[name]
    assert report.header[2] >> 16 == fields.get("requester", ROUTING_ID)
    assert report.header[0] >> 24 == (0x4A if fields.get("length_dw", 1) else 0x0A)


@pytest.mark.parametrize(
    ("status", "requester", "noted"),
    [
        (Status.UNSUPPORTED_REQUEST, ROUTING_ID, [1, 0]),
        (Status.COMPLETER_ABORT, ROUTING_ID, [0, 1]),
        (Status.UNSUPPORTED_REQUEST, 0x0101, [0, 0]),
        (Status.COMPLETER_ABORT, 0x0101, [0, 0]),
    ],
)
def test_abort_is_noted_once_and_only_of_a_request_of_ours(status, requester, noted):
    bench = Bench(26)
    bench.host.hold = True
    seen = [0, 0]

    async def main(ctx):
        dut = bench.dut
        await bench.read(ctx, 0x1000, 64)
        while not bench.host.open:
            await ctx.tick()
        (read,) = bench.host.open.values()
        fields = {"status": status, "byte_count": 64, "requester": requester}
        bench.host.injected.append(({**fields, "tag": read.header.tag, "length_dw": 0}, []))
        for _ in range(60):
            _, _, *now = await ctx.tick().sample(
                dut.received_master_abort, dut.received_target_abort
            )
            seen[:] = [before + more for before, more in zip(seen, now, strict=True)]

    bench.run(main)
    assert seen == noted


def test_second_completion_of_a_finished_read_is_unexpected():
    bench = Bench(26)

    async def main(ctx):
        await bench.read(ctx, 0x1000, 64)
        await bench.chunks.wait(ctx, 1)
        read = bench.host.answered[0]
        bench.host.injected.append(bench.host.part(read.header, 0x1000, 64, 64))
        await bench.idle(ctx, 40)

    bench.run(main)
    assert [report.kind for report in bench.errors.taken] == [ErrorKind.UNEXPECTED_COMPLETION]


def test_bus_master_off_answers_without_a_request():
    bench = Bench(27, pause=0.2, settings={"bus_master": 0})

    async def main(ctx):
        for _ in range(20):
            await bench.read(ctx, 0x1F80, 1000)
        await bench.chunks.wait(ctx, 100)
        assert not ctx.get(bench.dut.pending)

    bench.run(main)
    assert not bench.host.reads
    for beats in bench.chunks.taken:
        assert beats[0].header.status == ReadStatus.BUS_MASTER_OFF
        assert len(beats) == 1


@pytest.mark.parametrize("enable", [0, 1])
@pytest.mark.parametrize("privileged", [0, 1])
def test_a_tenants_read_goes_with_its_pasid_or_not_at_all(enable, privileged):
    bench = Bench(28, settings={"pasid_enable": enable, "pasid_privileged": privileged})

    async def main(ctx):
        await bench.read(ctx, 0x1000, 8, valid=1, pasid=0x12345, privileged=1, execute=1)
        await bench.read(ctx, 0x1000, 8)
        await bench.chunks.wait(ctx, 2)

    bench.run(main)
    statuses = [beats[0].header.status for beats in bench.chunks.taken]
    assert statuses[0] == (ReadStatus.SUCCESS if enable else ReadStatus.UNSUPPORTED_REQUEST)
    assert statuses[1] == ReadStatus.SUCCESS
    tenants = [read.header.tenant for read in bench.host.reads]
    assert not tenants[-1].valid
    if enable:
        tenant = tenants[0]
        assert (tenant.valid, tenant.pasid) == (1, 0x12345)
        assert (tenant.privileged, tenant.execute) == (privileged, 0)


@pytest.mark.parametrize("extended", [0, 1])
def test_tags_beyond_31_need_extended_tags(extended):
    bench = Bench(29, tags=64, read_slot_bytes=128, settings={"extended_tag": extended})
    bench.host.hold = True

    async def main(ctx):
        await bench.idle(ctx, 2)
        await bench.read(ctx, 0, 128 * 70)
        await bench.idle(ctx, 300)
        assert len(bench.host.open) == (64 if extended else 32)
        bench.host.hold = False
        await bench.chunks.wait(ctx, 70)

    bench.run(main)
    bench.check([(0, 128 * 70)])
    assert max(read.header.tag for read in bench.host.reads) == (63 if extended else 31)


def test_slow_consumer_is_not_overrun_while_a_tag_rests():
    bench = Bench(41, tags=4, read_slot_bytes=128, completion_timeout_cycles=600)
    bench.host.choose = lambda header: Answer.GOOD if header.address else Answer.NEVER
    bench.host.check = lambda header: bench.host.open.pop(header.tag, None)

    async def main(ctx):
        await bench.read(ctx, 0, 128)
        await bench.chunks.wait(ctx, 1)
        bench.chunks.pause = 0.6
        await bench.read(ctx, 128, 128 * 20)
        await bench.chunks.wait(ctx, 21)

    bench.run(main)
    bench.check([(0, 128), (128, 128 * 20)])


def test_completions_are_taken_though_nobody_takes_the_chunks():
    """Completion credits are infinite, so a request is made only with room for its answer."""
    bench = Bench(43, tags=4, read_slot_bytes=128)
    bench.chunks.open = False

    async def main(ctx):
        await bench.read(ctx, 0, 128 * 20)
        await bench.idle(ctx, 600)
        assert len(bench.host.reads) == len(bench.host.answered)
        # A buffer for each tag, and one chunk on offer.
        assert 4 <= len(bench.host.reads) <= 5
        bench.chunks.open = True
        await bench.chunks.wait(ctx, 20)

    bench.run(main)
    bench.check([(0, 128 * 20)])


def test_long_reads_stream_without_gaps():
    bench = Bench(33, tags=32, read_slot_bytes=512)
    bench.host.split = 0.0

    async def main(ctx):
        await bench.read(ctx, 0x10_0000, 16 * 512)
        await bench.chunks.wait(ctx, 16)

    bench.host.rng.choice = lambda items: items[0]
    bench.run(main)
    bench.check([(0x10_0000, 16 * 512)])
    times = bench.chunks.times
    assert times[-1] - times[0] == len(times) - 1
