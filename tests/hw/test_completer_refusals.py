"""What a request gets that asks for what is not there, or comes damaged: refusal, a log."""

import pytest

from hw.pcie.records import ErrorKind
from hw.tlp.records import Kind, Status

from .completer_bench import BAR0, BAR2, Bench, kinds, read, statuses, write
from .test_tlp_pack import TENANT_1, request

UNSUPPORTED_READS = {
    "just below BAR0": read(BAR0 - 4),
    "another 4 GiB": read(BAR0 ^ 1 << 40),
    "the highest bit": read(BAR0 | 1 << 63),
    "just after BAR2": read(BAR2 + 0x2_0000),
    "BAR2 in another 4 GiB": read(BAR2 | 1 << 32),
    "PASID while disabled": read(BAR0, tenant=TENANT_1),
    "a type without use": request(Kind.UNSUPPORTED, 0x1000, 1, fmt_type=0x02),
}


@pytest.mark.parametrize("name", UNSUPPORTED_READS)
def test_what_is_not_here_is_unsupported(name):
    bench = Bench()

    async def check(ctx):
        await bench.ask(ctx, UNSUPPORTED_READS[name])
        await bench.ask(ctx, read(BAR0))

    bench.run(check)
    assert statuses(bench) == [Status.UNSUPPORTED_REQUEST, Status.SUCCESS]
    assert bench.completions.taken[0][0].header.length_dw == 0
    assert kinds(bench) == [(ErrorKind.UNSUPPORTED, 1)]
    assert len(bench.accesses) == 1


def test_memory_requests_are_unsupported_while_memory_space_is_off():
    bench = Bench()
    bench.settings["memory_space"] = 0

    async def check(ctx):
        await bench.ask(ctx, read(BAR0))
        await bench.ask(ctx, write(BAR2, 16, Kind.DEFERRABLE_WRITE), [1] * 16)
        await bench.post(ctx, write(BAR0), [1])
        await bench.post(ctx, write(BAR2, 16), [1] * 16)
        await bench.ask(ctx, request(Kind.CONFIG_READ, 0x0300_0000, 1))

    bench.run(check)
    assert statuses(bench) == [Status.UNSUPPORTED_REQUEST] * 2 + [Status.SUCCESS]
    assert [kind for kind, _ in kinds(bench)] == [ErrorKind.UNSUPPORTED] * 4
    assert sorted(advisory for _, advisory in kinds(bench)) == [0, 0, 1, 1]
    assert bench.accesses == [] and bench.submissions.taken == []


def test_pasid_is_taken_when_enabled():
    bench = Bench()
    bench.settings["pasid_enable"] = 1

    async def check(ctx):
        await bench.ask(ctx, read(BAR0, tenant=TENANT_1))

    bench.run(check)
    assert statuses(bench) == [Status.SUCCESS]


def test_poisoned_requests_change_nothing():
    bench = Bench()

    async def check(ctx):
        await bench.post(ctx, write(BAR0, poisoned=1), [1])
        await bench.post(ctx, write(BAR2, 16, poisoned=1), [1] * 16)
        await bench.ask(ctx, write(BAR2, 16, Kind.DEFERRABLE_WRITE, poisoned=1), [1] * 16)
        await bench.ask(ctx, request(Kind.CONFIG_WRITE, 0x0300_0004, 1, poisoned=1), [6])

    bench.run(check)
    assert bench.accesses == [] and bench.submissions.taken == []
    assert bench.config_accesses == []
    assert statuses(bench) == [Status.UNSUPPORTED_REQUEST] * 2
    assert kinds(bench) == [(ErrorKind.POISONED, 0)] * 4


def test_longer_accesses_to_registers_are_aborted():
    bench = Bench()

    async def check(ctx):
        for length in (17, 64, 1024):
            beats = await bench.ask(ctx, read(BAR0, length))
            assert beats[0].header.byte_count == 4 * length
        await bench.ask(ctx, read(BAR2, 17))
        await bench.ask(ctx, write(BAR0, 16, Kind.DEFERRABLE_WRITE), [1] * 16)
        await bench.post(ctx, write(BAR0, 17), [1] * 17)
        await bench.settle(ctx)

    bench.run(check)
    assert bench.accesses == []
    assert statuses(bench) == [Status.COMPLETER_ABORT] * 5
    assert kinds(bench) == [(ErrorKind.COMPLETER_ABORT, 1)] * 5 + [(ErrorKind.COMPLETER_ABORT, 0)]


def test_messages_are_taken_or_unsupported_by_their_code():
    bench = Bench()

    async def check(ctx):
        for code in (0x00, 0x14, 0x19, 0x50, 0x7F, 0x41, 0x7E, 0x31, 0x20):
            header = request(
                Kind.MESSAGE, 0, 0, fmt_type=0x34, first_be=code & 0xF, last_be=code >> 4
            )
            await bench.post(ctx, header, [])
        await bench.ask(ctx, read(BAR0))

    bench.run(check)
    assert kinds(bench) == [(ErrorKind.UNSUPPORTED, 0)] * 3
    codes = [e.header[1] & 0xFF for e in bench.errors.taken]
    assert codes == [0x7E, 0x31, 0x20]


def test_turn_off_is_passed_on_to_be_acknowledged():
    bench = Bench()

    async def check(ctx):
        for code, poisoned in ((0x14, 0), (0x19, 0), (0x19, 1), (0x19, 0)):
            header = request(
                Kind.MESSAGE, 0, poisoned, fmt_type=0x33 | 0x40 * poisoned, poisoned=poisoned,
                first_be=code & 0xF, last_be=code >> 4,
            )  # fmt: skip
            await bench.post(ctx, header, [0] * poisoned)
        await bench.ask(ctx, read(BAR0))

    bench.run(check)
    assert bench.turned_off == 2
    assert kinds(bench) == [(ErrorKind.POISONED, 0)]


def test_poisoned_message_is_logged_unless_it_is_unsupported_anyway():
    bench = Bench()

    async def check(ctx):
        for code in (0x50, 0x7F, 0x7E):
            header = request(
                Kind.MESSAGE, 0, 1, fmt_type=0x74, poisoned=1, first_be=code & 0xF,
                last_be=code >> 4,
            )  # fmt: skip
            await bench.post(ctx, header, [0x55])
        await bench.ask(ctx, read(BAR0))

    bench.run(check)
    assert kinds(bench) == [(ErrorKind.POISONED, 0)] * 2 + [(ErrorKind.UNSUPPORTED, 0)]


def test_request_with_a_foreign_prefix_is_refused_in_full_knowledge_of_it():
    bench = Bench()
    bench.settings["pasid_enable"] = 1
    mark = {"foreign": 1, "prefix_rest": 0b1110_10, "tenant": TENANT_1 | {"valid": 0}}

    async def check(ctx):
        beats = await bench.ask(ctx, read(BAR0 + 0x48, 3, 0xE, 0x7, **mark))
        header = beats[0].header
        assert (header.length_dw, header.byte_count, header.lower_address) == (0, 10, 0x49)
        await bench.ask(ctx, write(BAR2, 16, Kind.DEFERRABLE_WRITE, **mark), [1] * 16)
        await bench.ask(ctx, request(Kind.CONFIG_WRITE, 0x0700_0004, 1, **mark), [6])

    bench.run(check)
    assert statuses(bench) == [Status.UNSUPPORTED_REQUEST] * 3
    assert kinds(bench) == [(ErrorKind.UNSUPPORTED, 1)] * 3
    assert [(e.prefix_valid, e.prefix) for e in bench.errors.taken] == [(1, 0x9EAA_BCDE)] * 3
    assert bench.accesses == [] and bench.config_accesses == [] and bench.submissions.taken == []


def test_error_log_spells_the_header_of_the_request():
    bench = Bench()
    bench.settings["pasid_enable"] = 1

    async def check(ctx):
        header = read(0x12_0000_0040, 3, 0xE, 0x7, tenant=TENANT_1)
        await bench.ask(ctx, header)
        header = request(Kind.MEMORY_READ, 0x40, 1, fmt_type=0x00, at=0b10)
        await bench.ask(ctx, header)

    bench.run(check)
    first, second = bench.errors.taken
    assert list(first.header) == [0x20B4_3003, 0x0100_A57E, 0x12, 0x40]
    assert (first.prefix_valid, first.prefix) == (1, 0x918A_BCDE)
    assert list(second.header) == [0x0000_0801, 0x1234_000F, 0x40, 0]
    assert second.prefix_valid == 0
