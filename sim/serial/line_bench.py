"""Inside the simulator: the line ends in a pseudo-terminal, for any program to open."""

import errno
import os
import pty
import tty
from pathlib import Path
from typing import Any

import cocotb

from ..bench.cocotb_side import bench, cycles, now, parameters, seed
from .noise import Noise
from .wired import CAPACITY

POLL_CYCLES = 2048
"""Clocks between two looks for bytes from the program."""


class Terminal:
    """The near end of a pseudo-terminal.

    Parameters
    ----------
    announce
        File to write the name of the far end into.
    """

    def __init__(self, announce: Path) -> None:
        self._near, far = pty.openpty()
        tty.setraw(far)
        os.set_blocking(self._near, False)
        fresh = announce.with_suffix(".new")
        fresh.write_text(os.ttyname(far))
        # Whoever waits for the name finds all of it.
        fresh.rename(announce)
        os.close(far)
        self._opened = False
        self._unsent = b""

    @property
    def over(self) -> bool:
        """Whether the program has come and gone."""
        return self._opened and self._closed

    def read(self, size: int) -> bytes:
        """Bytes from the program, if there are any."""
        self._closed = False
        try:
            data = os.read(self._near, size)
        except BlockingIOError:
            self._opened = True
            return b""
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._closed = True
            return b""
        self._opened = True
        return data

    def write(self, data: bytes) -> None:
        """Bytes to the program; what it does not take in time waits."""
        self._unsent += data
        try:
            sent = os.write(self._near, self._unsent)
        except OSError:
            return
        self._unsent = self._unsent[sent:]


@bench(limit_cycles=1_000_000_000_000)
async def serve(dut: Any) -> dict[str, Any]:
    """Carry bytes until the program closes the terminal."""
    orders = parameters()
    terminal = Terminal(Path(orders["announce"]))
    down, up = (Noise(orders["noise"], seed() + direction) for direction in range(2))

    async def upwards() -> None:
        while True:
            await dut.up_put.value_change
            size = int(dut.up_count.value)
            data = int(dut.up_bytes.value).to_bytes(CAPACITY, "little")[:size]
            terminal.write(up(data))

    cocotb.start_soon(upwards())
    put = int(dut.down_taken.value)
    while not terminal.over:
        data = down(terminal.read(CAPACITY // 2))
        if not data:
            await cycles(POLL_CYCLES)
            terminal.write(b"")
            continue
        dut.down_bytes.value = int.from_bytes(data, "little")
        dut.down_count.value = len(data)
        put ^= 1
        dut.down_put.value = put
        while int(dut.down_taken.value) != put:
            await dut.down_taken.value_change
    return {
        "clocks": now(),
        "damaged": down.damaged + up.damaged,
        "broken": int(dut.broken.value),
        "bells": int(dut.bells.value),
        "errors": int(dut.errors.value),
    }
