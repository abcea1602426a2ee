"""The serial line, as bytes that come and go."""

import asyncio
import contextlib
import errno
import queue
import threading
from typing import Protocol

import serial
from serial.tools.list_ports import comports
from serial.tools.list_ports_common import ListPortInfo

from .errors import TetherError

POLL_SECONDS = 0.1
"""How often the threads look whether the line has been closed."""


class Line(Protocol):
    """A line with a board at its other end."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    def write(self, data: bytes) -> None:
        """Let bytes go over the line, behind those of before. Returns at once."""
        ...

    async def read(self) -> bytes:
        """Wait for bytes, and return those that have come.

        Raises
        ------
        TetherError
            The line is gone.
        """
        ...

    def close(self) -> None:
        """Give the line back."""
        ...


class SerialLine:
    """A serial port of this machine, or what pyserial makes one of: ``socket://host:port``.

    Made by :meth:`open`, inside a running event loop. Two threads read and write, since serial
    ports have no better interface that works everywhere.

    **Errors**: whatever the port does, :class:`TetherError` says it in one sentence.
    """

    def __init__(self, port: serial.Serial, name: str) -> None:
        self._port, self._name = port, name
        self._arrived: asyncio.Queue[bytes | TetherError] = asyncio.Queue()
        self._leaving: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._reader, self._writer)
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    def open(cls, name: str, baud: int) -> "SerialLine":
        """Open a port at a rate.

        Raises
        ------
        TetherError
            It cannot be opened, or does not do this rate.
        """
        try:
            port = serial.serial_for_url(name, baud, timeout=POLL_SECONDS, do_not_open=True)
            if hasattr(port, "exclusive"):
                port.exclusive = True
            port.open()
        except (OSError, ValueError) as error:
            raise TetherError(_why(name, baud, error)) from None
        with contextlib.suppress(AttributeError, OSError, ValueError, NotImplementedError):
            # Bridges gather bytes for up to 16 ms unless they are told otherwise.
            port.set_low_latency_mode(True)
        return cls(port, name)

    @property
    def name(self) -> str:
        return self._name

    def write(self, data: bytes) -> None:
        """Let bytes go over the line, behind those of before. Returns at once."""
        self._leaving.put(data)

    async def read(self) -> bytes:
        """Wait for bytes, and return those that have come."""
        found = await self._arrived.get()
        if isinstance(found, TetherError):
            self._arrived.put_nowait(found)
            raise found
        return found

    def close(self) -> None:
        """Give the port back."""
        self._closed.set()
        for thread in self._threads:
            thread.join()
        self._port.close()

    def _reader(self) -> None:
        while not self._closed.is_set():
            try:
                data = self._port.read(max(1, self._port.in_waiting))
            except (OSError, TypeError) as error:
                self._fail(error)
                return
            if data:
                self._tell(data)

    def _writer(self) -> None:
        while not self._closed.is_set():
            try:
                self._port.write(self._leaving.get(timeout=POLL_SECONDS))
            except queue.Empty:
                continue
            except (OSError, TypeError) as error:
                self._fail(error)
                return

    def _fail(self, error: Exception) -> None:
        self._tell(TetherError(f"{self._name} is gone; was the board unplugged? ({error})"))

    def _tell(self, what: bytes | TetherError) -> None:
        with contextlib.suppress(RuntimeError):  # nobody listens any more
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, what)


def _why(name: str, baud: int, error: Exception) -> str:
    """Why a port cannot be opened, and what to do."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        found = ", ".join(f"{port.device} ({port.description})" for port in _ports())
        there = (
            f"there are: {found}" if found else "there is no serial port; is the board plugged in?"
        )
        return f"there is no {name}; {there}"
    if number in (errno.EACCES, errno.EPERM):
        return f"{name} may not be opened; add yourself to the group that owns it (often dialout)"
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        return f"{name} is in use by another program"
    if number in (errno.ENOTTY, errno.EISDIR) or "Could not configure port" in str(error):
        return f"{name} is no serial port, or does not do {baud:,} baud"
    return f"{name} cannot be opened: {error}"


def _ports() -> list[ListPortInfo]:
    return sorted(comports(), key=lambda port: port.device)
