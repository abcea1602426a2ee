"""The driver's transport over a tether, to a function of paper."""

import asyncio

import pytest
from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.core.utils import PcieId

from driver.tether import TetherError
from driver.transport import Outcome
from sim.host import tether_transport
from sim.host.platform import Host
from sim.host.responder import refusal
from sim.host.tether_transport import TetherTransport
from sim.host.tlp import DEFERRABLE_WRITES, MEMORY_READS, MEMORY_WRITES, Tlp
from sim.serial.noise import Noise

from ..driver.tether_board import PaperBoard
from ..targets import Target

BYTES = 60
"""Byte times in a turn of the line."""


class PaperFunction:
    """Configuration space and BARs of bytes, behind a board of paper."""

    def __init__(self, board: PaperBoard):
        self.board = board
        self.space = bytearray(4096)
        self.space[0:4] = b"\xc5\x70\x01\x00"
        self.space[0x34], self.space[0x40], self.space[0x41] = 0x40, 0x01, 0x50
        self.space[0x50], self.space[0x54] = 0x10, 0x02
        self.memory: dict[int, int] = {}
        self.outcome = CplStatus.SC
        self.answers = True
        self.identity = PcieId(0, 0, 0)
        # Whatever has come is worked off at once.
        board.granted = (3 << 20,) * 3

    def work(self):
        """Answer what has come."""
        while self.board.received:
            tlp = Tlp.unpack(self.board.received.pop(0))
            answer = self._answer(tlp)
            if answer is not None and self.answers:
                self.board.send(answer.pack())

    def _answer(self, tlp):
        kind = tlp.fmt_type
        if kind is TlpType.CFG_WRITE_0:
            self.identity = tlp.completer_id
            for n in range(4):
                if tlp.first_be >> n & 1:
                    self._configure(tlp.address + n, tlp.data[n])
            return self._completion(tlp)
        if kind is TlpType.CFG_READ_0:
            return self._completion(tlp, self.space[tlp.address : tlp.address + 4])
        if kind in MEMORY_WRITES:
            for n, byte in enumerate(tlp.data):
                self.memory[tlp.address + n] = byte
            return None
        if kind in DEFERRABLE_WRITES:
            return self._completion(tlp, status=self.outcome)
        assert kind in MEMORY_READS
        data = bytes(self.memory.get(tlp.address + n, 0) for n in range(4 * tlp.length))
        answer = self._completion(tlp, data)
        answer.lower_address = (tlp.address + tlp.get_first_be_offset()) & 0x7F
        return answer

    def _configure(self, offset, byte):
        sizes = {0x11: 0xF0, 0x12: 0xFF, 0x13: 0xFF, 0x19: 0xF0, 0x1A: 0xFF, 0x1B: 0xFF}
        if offset in (0x10, 0x18):
            byte = 0x0C
        self.space[offset] = byte & sizes.get(offset, 0xFF)

    def _completion(self, tlp, data=None, status=CplStatus.SC):
        answer = refusal(tlp, status)
        answer.completer_id = self.identity
        answer.byte_count = tlp.get_be_byte_count() if tlp.fmt_type in MEMORY_READS else 4
        if data is not None:
            answer.fmt_type = TlpType.CPL_DATA
            answer.set_data(data)
        return answer


class PaperLine:
    """A line (:class:`driver.tether.Line`) with a function of paper at its other end."""

    name = "/dev/paper"

    def __init__(self, board: PaperBoard | None = None, one_in: int = 0):
        self.board = board or PaperBoard()
        self.function = PaperFunction(self.board)
        self.down, self.up = Noise(one_in, 1), Noise(one_in, 2)
        self.closed = self.unplugged = False
        self.noise = b""

    def write(self, data: bytes) -> None:
        self.board.feed(self.down(data))

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        if self.unplugged:
            raise TetherError("/dev/paper is gone")
        self.function.work()
        return self.noise + self.up(self.board.turn(BYTES))

    def close(self) -> None:
        self.closed = True


def play(work, line=None, **options):
    """Run a coroutine on a transport to a function of paper."""
    line = line or PaperLine()

    async def program():
        host = Host()
        transport = await TetherTransport.open(line, host, 100_000, **options)
        try:
            return await asyncio.wait_for(work(transport, line), 60)
        finally:
            await transport.close()

    result = asyncio.run(program())
    assert line.closed
    return result


def test_function_is_enumerated():
    async def work(transport, line):
        assert transport.bar_bytes(0) == transport.bar_bytes(2) == 4096
        assert transport.requests == 0
        assert await transport.config_read(0, 2) == 0x70C5
        assert await transport.config_read(2, 2) == 1
        assert transport.requests == 2
        control = line.function.space[0x58] | line.function.space[0x59] << 8
        assert (control >> 5 & 7, control >> 12 & 7) == (2, 2)

    play(work)


@pytest.mark.parametrize("one_in", [0, 500])
def test_what_is_written_is_read(one_in):
    async def work(transport, line):
        for size in (1, 3, 4, 8, 61, 64):
            data = bytes(range(size))
            await transport.write(2, 0x100, data)
            assert await transport.read(2, 0x100, size) == data
        assert await transport.finish() == []

    play(work, PaperLine(one_in=one_in))


def test_many_requests_at_once_get_their_own_answers():
    async def work(transport, line):
        async def one(number):
            await transport.write(2, 8 * number, number.to_bytes(8, "little"))
            return int.from_bytes(await transport.read(2, 8 * number, 8), "little")

        assert await asyncio.gather(*map(one, range(200))) == list(range(200))
        assert await transport.finish() == []

    play(work, PaperLine(one_in=2000))


def test_deferrable_writes_tell_their_outcome():
    async def work(transport, line):
        outcomes = []
        for status in (CplStatus.SC, CplStatus.CRS, CplStatus.UR):
            line.function.outcome = status
            outcomes.append(await transport.deferrable_write(2, 0, bytes(64)))
        assert outcomes == [Outcome.ACCEPTED, Outcome.RETRY, Outcome.REJECTED]

    play(work)


def test_device_reaches_memory_and_rings():
    async def work(transport, line):
        rung = transport.event()
        target = Target(transport.machine, rung.set)
        buffer = transport.allocate(4096)
        write = Tlp()
        write.requester_id = PcieId(1, 0, 0)
        write.fmt_type = TlpType.MEM_WRITE
        write.set_addr_be_data(buffer.address, b"data")
        line.board.send(write.pack())
        write.set_addr_be_data(target.message.address, target.message.data.to_bytes(4, "little"))
        line.board.send(write.pack())
        assert await rung.wait(100_000_000)
        assert buffer.read(0, 4) == b"data"
        assert target.delivered == 1

    play(work)


def test_time_is_the_boards():
    async def work(transport, line):
        began, clock = transport.now(), line.board.clock
        await transport.sleep(1_000_000)
        assert 1_000_000 <= transport.now() - began < 1_100_000
        assert (line.board.clock - clock) % (1 << 32) < 1_200_000
        assert not await transport.event().wait(5_000)

    play(work)


def test_unanswered_request_reads_as_ones_and_is_reported():
    async def work(transport, line):
        line.function.answers = False
        assert await transport.read(2, 0, 4) == b"\xff" * 4
        assert "no completion within the time limit" in "".join(await transport.finish())

    play(work)


def test_nonsense_of_the_device_is_reported_not_obeyed():
    async def work(transport, line):
        line.board.send(b"\xff" * 16)
        stray = refusal(Tlp(), CplStatus.SC)
        stray.tag, stray.completer_id = 9, PcieId(1, 0, 0)
        line.board.send(stray.pack())
        assert await transport.config_read(0, 2) == 0x70C5
        complaints = "\n".join(await transport.finish())
        assert "undefined type" in complaints and "unexpected completion" in complaints

    play(work)


def test_unplugged_board_ends_every_wait_with_one_sentence():
    async def work(transport, line):
        waits = [transport.event().wait(), transport.sleep(10**12), transport.read(2, 0, 4)]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.sleep(0)
        line.unplugged = True
        for task in tasks:
            with pytest.raises(TetherError, match="/dev/paper is gone"):
                await task
        with pytest.raises(TetherError, match="/dev/paper is gone"):
            await transport.read(2, 0, 4)

    play(work)


def test_mute_board_is_noticed(monkeypatch):
    monkeypatch.setattr(tether_transport, "MUTE_SECONDS", 0.3)

    async def work(transport, line):
        line.board.mute = True
        with pytest.raises(TetherError, match=r"has been mute for 0.3 s; reset it"):
            await transport.event().wait()

    play(work)


def test_function_without_capabilities_is_refused():
    line = PaperLine()
    line.function.space[0x41] = 0x40
    with pytest.raises(TetherError, match="has no PCI Express capability"):
        play(None, line)


def test_line_on_which_nobody_answers(monkeypatch):
    monkeypatch.setattr(tether_transport, "HELLO_SECONDS", 0.05)
    line = PaperLine()
    line.board.mute = True
    with pytest.raises(TetherError, match="nothing answers at /dev/paper; is a bitstream loaded"):
        play(None, line, seconds=0.02)
    assert line.closed


def test_line_on_which_somebody_else_talks(monkeypatch):
    monkeypatch.setattr(tether_transport, "HELLO_SECONDS", 0.05)
    line = PaperLine()
    line.board.mute = True
    line.noise = b"~login: ~Password: "
    with pytest.raises(TetherError, match=r"no Tocsin board, or not at 100,000 baud"):
        play(None, line, seconds=0.02)


def test_other_protocol_is_named():
    with pytest.raises(TetherError, match="speaks version 9 of the tether, this program version 1"):
        play(None, PaperLine(PaperBoard(protocol=9)))
