"""Errors set the bits, write the log and send the message that the specification names."""

import pytest

from hw.pcie.errors import ERR_COR, ERR_FATAL, ERR_NONFATAL
from hw.pcie.records import ErrorKind
from hw.regs.configspace import AER, PCIE, UNCORRECTABLE
from hw.tlp.pack import PME_TO_ACK
from hw.tlp.records import Kind

from . import test_config_space
from .streams import Sink, offer, simulate

COMMAND, DEVICE_CONTROL = 0x04, PCIE + 8
STATUS, MASK, SEVERITY = AER + 0x04, AER + 0x08, AER + 0x0C
CORRECTABLE, CORRECTABLE_MASK, CONTROL = AER + 0x10, AER + 0x14, AER + 0x18
ADVISORY = 1 << 13
SERR = 1 << 8

HEADER = [0x4000_0001, 0x0100_000F, 0x1000, 0]


def report(kind, *, advisory=0, header=HEADER, prefix=None):
    return {
        "kind": kind,
        "advisory": advisory,
        "header_valid": header is not None,
        "header": header or [0] * 4,
        "prefix_valid": prefix is not None,
        "prefix": prefix or 0,
    }


class Bench(test_config_space.Bench):
    """Configuration space that is told of errors."""

    def __init__(self):
        super().__init__()
        self.messages = Sink(self.dut.o_message_request)

    def run(self, bench):
        async def wrapped(ctx):
            # Reporting of everything is on, and advisory errors are not masked.
            await self.write(ctx, DEVICE_CONTROL, 0xF)
            await self.write(ctx, CORRECTABLE_MASK, 0)
            await bench(ctx)

        simulate(self.dut, wrapped, sinks=[self.messages])

    async def tell(self, ctx, source=0, **fields):
        await offer(ctx, self.dut.i_error[source], report(**fields))
        for _ in range(6):
            await ctx.tick()

    async def device_status(self, ctx):
        """Correctable, non-fatal, fatal, unsupported request detected."""
        return await self.read(ctx, DEVICE_CONTROL) >> 16 & 0xF

    def codes(self):
        return [
            beats[0].header.last_be << 4 | beats[0].header.first_be for beats in self.messages.taken
        ]


FATAL = {"malformed", "receiver_overflow"}


@pytest.mark.parametrize("name", UNCORRECTABLE)
def test_each_error_sets_its_bits_and_is_logged_and_sent(name):
    bench = Bench()
    kind = ErrorKind[name.upper()]

    async def check(ctx):
        await bench.tell(ctx, kind=kind, header=[1, 2, 3, 4], prefix=0x9112_3456)
        assert await bench.read(ctx, STATUS) == 1 << UNCORRECTABLE[name]
        assert await bench.read(ctx, CONTROL) == 1 << 11 | UNCORRECTABLE[name]
        assert [await bench.read(ctx, AER + 0x1C + 4 * k) for k in range(4)] == [1, 2, 3, 4]
        assert await bench.read(ctx, AER + 0x38) == 0x9112_3456
        assert await bench.read(ctx, CORRECTABLE) == 0
        expected = 0b0100 if name in FATAL else 0b0010
        expected |= 0b1000 * (name == "unsupported")
        assert await bench.device_status(ctx) == expected
        (message,) = bench.messages.taken
        assert bench.codes() == [ERR_FATAL if name in FATAL else ERR_NONFATAL]
        header = message[0].header
        assert Kind(header.kind) == Kind.MESSAGE
        assert (header.requester, header.length_dw, header.tenant.valid) == (0x1200, 0, 0)
        # Clearing what is logged frees the log.
        await bench.write(ctx, STATUS, 1 << UNCORRECTABLE[name])
        assert await bench.read(ctx, STATUS) == 0
        assert await bench.read(ctx, CONTROL) & 0x1F == 0

    bench.run(check)


def test_first_error_keeps_the_log_until_it_is_cleared():
    bench = Bench()

    async def check(ctx):
        await bench.tell(ctx, kind=ErrorKind.UNSUPPORTED, header=[1, 1, 1, 1])
        await bench.tell(ctx, source=1, kind=ErrorKind.MALFORMED, header=[2, 2, 2, 2])
        both = 1 << 20 | 1 << 18
        assert await bench.read(ctx, STATUS) == both
        assert await bench.read(ctx, AER + 0x1C) == 1
        await bench.write(ctx, STATUS, 1 << 18)
        await bench.tell(ctx, source=2, kind=ErrorKind.MALFORMED, header=[3, 3, 3, 3])
        assert await bench.read(ctx, CONTROL) == 20
        assert await bench.read(ctx, AER + 0x1C) == 1
        await bench.write(ctx, STATUS, 1 << 20)
        await bench.tell(ctx, kind=ErrorKind.COMPLETER_ABORT, header=[4, 4, 4, 4])
        assert await bench.read(ctx, CONTROL) == 15
        assert await bench.read(ctx, AER + 0x1C) == 4

    bench.run(check)


def test_masked_error_sets_its_bit_only():
    bench = Bench()

    async def check(ctx):
        await bench.write(ctx, MASK, 1 << 20)
        await bench.tell(ctx, kind=ErrorKind.UNSUPPORTED)
        assert await bench.read(ctx, STATUS) == 1 << 20
        assert await bench.read(ctx, CONTROL) == 0
        assert await bench.read(ctx, AER + 0x1C) == 0
        assert await bench.device_status(ctx) == 0b1010
        assert bench.codes() == []
        # The bit that is set does not keep the next error from being logged.
        await bench.write(ctx, MASK, 0)
        await bench.tell(ctx, kind=ErrorKind.UNSUPPORTED)
        assert await bench.read(ctx, CONTROL) == 20

    bench.run(check)


def test_advisory_error_is_sent_as_correctable():
    bench = Bench()

    async def check(ctx):
        await bench.tell(ctx, kind=ErrorKind.UNSUPPORTED, advisory=1)
        assert await bench.read(ctx, CORRECTABLE) == ADVISORY
        assert await bench.read(ctx, STATUS) == 1 << 20
        assert await bench.read(ctx, AER + 0x1C) == HEADER[0]
        assert await bench.device_status(ctx) == 0b1001
        assert bench.codes() == [ERR_COR]

    bench.run(check)


def test_masked_advisory_error_goes_no_further():
    bench = Bench()

    async def check(ctx):
        await bench.write(ctx, CORRECTABLE_MASK, ADVISORY)
        await bench.tell(ctx, kind=ErrorKind.UNSUPPORTED, advisory=1)
        assert await bench.read(ctx, CORRECTABLE) == ADVISORY
        assert await bench.read(ctx, STATUS) == 0
        assert await bench.read(ctx, CONTROL) == 0
        assert await bench.device_status(ctx) == 0b1001
        assert bench.codes() == []

    bench.run(check)


def test_advisory_error_of_fatal_severity_is_fatal():
    bench = Bench()

    async def check(ctx):
        await bench.write(ctx, SEVERITY, 1 << 16)
        await bench.tell(ctx, kind=ErrorKind.UNEXPECTED_COMPLETION, advisory=1)
        assert await bench.read(ctx, CORRECTABLE) == 0
        assert await bench.device_status(ctx) == 0b0100
        assert bench.codes() == [ERR_FATAL]

    bench.run(check)


@pytest.mark.parametrize(
    ("control", "command", "kind", "advisory", "codes"),
    [
        (0b0000, 0, ErrorKind.MALFORMED, 0, []),
        (0b1011, 0, ErrorKind.MALFORMED, 0, []),
        (0b0100, 0, ErrorKind.MALFORMED, 0, [ERR_FATAL]),
        (0b0000, SERR, ErrorKind.MALFORMED, 0, [ERR_FATAL]),
        (0b1101, 0, ErrorKind.POISONED, 0, []),
        (0b0010, 0, ErrorKind.POISONED, 0, [ERR_NONFATAL]),
        (0b0000, SERR, ErrorKind.POISONED, 0, [ERR_NONFATAL]),
        (0b0111, 0, ErrorKind.UNSUPPORTED, 0, []),
        (0b1010, 0, ErrorKind.UNSUPPORTED, 0, [ERR_NONFATAL]),
        (0b0000, SERR, ErrorKind.UNSUPPORTED, 0, [ERR_NONFATAL]),
        (0b0001, 0, ErrorKind.UNSUPPORTED, 1, []),
        (0b1000, SERR, ErrorKind.UNSUPPORTED, 1, []),
        (0b1001, 0, ErrorKind.UNSUPPORTED, 1, [ERR_COR]),
        (0b0001, 0, ErrorKind.COMPLETER_ABORT, 1, [ERR_COR]),
    ],
)
def test_messages_are_sent_only_when_enabled(control, command, kind, advisory, codes):
    bench = Bench()

    async def check(ctx):
        await bench.write(ctx, DEVICE_CONTROL, control)
        await bench.write(ctx, COMMAND, command)
        await bench.tell(ctx, kind=kind, advisory=advisory)
        assert bench.codes() == codes
        signaled = await bench.read(ctx, COMMAND) >> 30 & 1
        assert signaled == (bool(codes) and bool(command))

    bench.run(check)


@pytest.mark.parametrize(
    ("kind", "header", "parity_response", "bits"),
    [
        (ErrorKind.POISONED, HEADER, 1, 1 << 31),
        (ErrorKind.POISONED, [0x4A00_4001, 0, 0, 0], 1, 1 << 31 | 1 << 24),
        (ErrorKind.POISONED, [0x4A00_4001, 0, 0, 0], 0, 1 << 31),
        (ErrorKind.COMPLETER_ABORT, HEADER, 1, 1 << 27),
        (ErrorKind.UNSUPPORTED, HEADER, 1, 0),
    ],
)
def test_legacy_status_bits_follow(kind, header, parity_response, bits):
    bench = Bench()

    async def check(ctx):
        await bench.write(ctx, COMMAND, parity_response << 6)
        await bench.tell(ctx, kind=kind, header=header)
        assert await bench.read(ctx, COMMAND) & 0xFFEF_0000 == bits

    bench.run(check)


def test_errors_are_kept_while_messages_cannot_leave():
    bench = Bench()

    async def check(ctx):
        bench.messages.open = False
        for kind, advisory in [
            (ErrorKind.POISONED, 0),
            (ErrorKind.UNSUPPORTED, 1),
            (ErrorKind.MALFORMED, 0),
            (ErrorKind.UNSUPPORTED, 1),
            (ErrorKind.COMPLETER_ABORT, 0),
        ]:
            await bench.tell(ctx, kind=kind, advisory=advisory)
        expected = 1 << 12 | 1 << 20 | 1 << 18 | 1 << 15
        assert await bench.read(ctx, STATUS) == expected
        bench.messages.open = True
        for _ in range(20):
            await ctx.tick()
        # The first was already on its way; the others were joined by kind, gravest first.
        assert bench.codes() == [ERR_NONFATAL, ERR_FATAL, ERR_NONFATAL, ERR_COR]

    bench.run(check)


def test_turn_off_is_acknowledged_once_and_after_errors():
    bench = Bench()

    async def check(ctx):
        bench.messages.open = False
        await bench.tell(ctx, kind=ErrorKind.UNSUPPORTED)
        ctx.set(bench.dut.config.turn_off, 1)
        await ctx.tick()
        ctx.set(bench.dut.config.turn_off, 0)
        await bench.tell(ctx, kind=ErrorKind.MALFORMED)
        bench.messages.open = True
        for _ in range(20):
            await ctx.tick()
        assert bench.codes() == [ERR_NONFATAL, ERR_FATAL, PME_TO_ACK]
        assert await bench.read(ctx, STATUS) == 1 << 20 | 1 << 18

    bench.run(check)


def test_function_reset_keeps_status_and_log():
    bench = Bench()

    async def check(ctx):
        await bench.tell(ctx, kind=ErrorKind.MALFORMED)
        await bench.reset(ctx)
        assert await bench.read(ctx, STATUS) == 1 << 18
        assert await bench.read(ctx, CONTROL) == 18
        assert await bench.read(ctx, AER + 0x1C) == HEADER[0]
        assert await bench.device_status(ctx) == 0

    bench.run(check)


def test_timeout_logs_no_header():
    bench = Bench()

    async def check(ctx):
        await bench.tell(ctx, kind=ErrorKind.COMPLETION_TIMEOUT, header=None)
        assert await bench.read(ctx, CONTROL) == 14
        assert await bench.read(ctx, AER + 0x1C) == 0

    bench.run(check)
