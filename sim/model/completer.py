"""Inbound requests: which there are, who answers them, and how."""

from collections.abc import Callable
from typing import Protocol

from hw.regs.bar0 import bar0
from hw.regs.bar2 import PAGE_BYTES, PORTALS_PER_QUEUE, SUBMISSION_BYTES, bar2_bytes
from hw.regs.config import Config

from .config_space import ConfigSpace
from .queues import PIECE_BYTES
from .tlp import Completion, Kind, Malformed, Request, Status, Tlp, read_span
from .wire import FIXED, fmt_type, header_dws, prefix_dw

Outgoing = Completion | Request

LONGEST_BYTES = 64
"""Registers take and give at most this much at a time."""

_LANES = [sum(0xFF << 8 * byte for byte in range(8) if be >> byte & 1) for be in range(256)]

#: Message codes that an endpoint takes without a word (PCIe Base 6.x §2.2.8): Unlock, PM, ignored
#: messages, Set Slot Power Limit, Vendor-Defined Type 1.
_SILENT_MESSAGES = {0x00, 0x14, 0x40, 0x41, 0x43, 0x44, 0x45, 0x47, 0x48, 0x50, 0x7F}


#: Message codes that must use traffic class 0 (PCIe Base 6.x §2.2.8).
_ONLY_TC0 = {0x00, 0x14, 0x18, 0x19, 0x1B, *range(0x20, 0x28), 0x30, 0x31, 0x33, 0x50}

_PME_TURN_OFF, _PME_TO_ACK = 0x19, 0x1B
_ERROR_MESSAGES = {"correctable": 0x30, "non_fatal": 0x31, "fatal": 0x33}
_MEMORY = (Kind.MEMORY_READ, Kind.MEMORY_WRITE, Kind.DEFERRABLE_WRITE)


class Inside(Protocol):
    """What lies behind the BARs."""

    def read_word(self, address: int) -> int:
        """The aligned 8-byte word of BAR0."""
        ...

    def write_word(self, address: int, data: int, lanes: int) -> None: ...

    def submit(self, queue: int, portal: int, data: bytes, deferrable: bool) -> bool:
        """A 64-byte write to a portal of BAR2. Returns whether it was accepted."""
        ...

    def stage(self, queue: int, portal: int, place: int, data: bytes) -> None:
        """A posted write of 8 aligned bytes to a portal."""
        ...


class Completer:
    """Answers requests as a PCI Express endpoint does (PCIe Base 6.x §2.3.1).

    :meth:`handle` takes one TLP and returns what the device sends because of it: a completion if
    one is due, then an error message if one is enabled.

    **Errors**: logged in configuration space. A request with an error has no effect. Of several
    errors the first in this order counts: malformed, unsupported, poisoned, completer abort.

    Parameters
    ----------
    config
        Parameters of the device.
    space
        Its configuration space.
    inside
        What lies behind the BARs.
    configured
        Called after each configuration write.
    """

    def __init__(
        self,
        config: Config,
        space: ConfigSpace,
        inside: Inside,
        configured: Callable[[], None],
    ):
        self._space = space
        self._inside = inside
        self._configured = configured
        self._bar0_bytes = bar0(config).size_bytes
        self._bar2_bytes = bar2_bytes(config)
        self._messages: list[Outgoing] = []

    def handle(self, tlp: Tlp) -> list[Outgoing]:
        """Answer one TLP."""
        self._messages = []
        answers = self._take(tlp)
        return [*answers, *self._messages]

    def _take(self, tlp: Tlp) -> list[Completion]:
        if isinstance(tlp, Malformed):
            self._say(self._space.report("malformed", tlp.header, prefix=tlp.prefix))
            return []
        if self._malformed(tlp):
            self._report("malformed", tlp)
            return []
        if isinstance(tlp, Completion):
            self._report("unexpected_completion", tlp, advisory=True)
            return []
        if tlp.unknown_prefix:
            return self._refuse(tlp, Status.UNSUPPORTED_REQUEST)
        match tlp.kind:
            case Kind.MEMORY_READ | Kind.MEMORY_WRITE | Kind.DEFERRABLE_WRITE:
                return self._memory(tlp)
            case Kind.CONFIG_READ | Kind.CONFIG_WRITE:
                return self._config(tlp)
            case Kind.MESSAGE:
                return self._message(tlp)
            case _:
                return self._refuse(tlp, Status.UNSUPPORTED_REQUEST)

    # Errors

    def _report(self, error: str, tlp: Request | Completion, *, advisory: bool = False) -> None:
        header, prefix = header_dws(tlp), prefix_dw(tlp)
        self._say(self._space.report(error, header, advisory=advisory, prefix=prefix))

    def _say(self, severity: str | None) -> None:
        """Send an error message, if one is due (PCIe Base 6.x §2.2.8.3)."""
        if severity:
            self._send(_ERROR_MESSAGES[severity])

    def _send(self, code: int, routing: int = 0b000) -> None:
        """Send a message without data, by default to the root complex."""
        self._messages.append(
            Request(
                kind=Kind.MESSAGE, address=0, length_dw=0, fmt_type=0x30 | routing,
                first_be=code & 0xF, last_be=code >> 4, requester=self._space.routing_id,
            )
        )  # fmt: skip

    def _malformed(self, tlp: Request | Completion) -> str | None:
        """What makes a receiver call a TLP malformed (PCIe Base 6.x §2.2, §2.3).

        The checks that are optional are made as the gateware makes them: byte enables against the
        length, the fixed fields of configuration and I/O requests, and the 4 KiB boundary.
        """
        if len(tlp.payload) > self._space.settings.max_payload_bytes:
            return "payload beyond Max_Payload_Size"
        if isinstance(tlp, Completion):
            return None
        if tlp.kind in _MEMORY:
            single = tlp.length_dw == 1
            if bool(tlp.last_be) == single or not (single or tlp.first_be):
                return "byte enables"
            if (tlp.address & 0xFFF) + 4 * tlp.length_dw > 4096:
                return "crosses 4 KiB"
        if fmt_type(tlp) in FIXED and (tlp.length_dw != 1 or tlp.last_be or tlp.tc or tlp.attr & 3):
            return "fixed fields of a configuration or I/O request"
        if tlp.kind is Kind.MESSAGE and tlp.tc and _code(tlp) in _ONLY_TC0:
            return "traffic class of a message"
        return None

    def _poisoned(self, request: Request) -> list[Completion]:
        """Poisoned data changes nothing here, and that is never advisory (§2.7.2.1)."""
        self._report("poisoned", request)
        if request.posted:
            return []
        return [self._answer(request, Status.UNSUPPORTED_REQUEST)]

    def _refuse(self, request: Request, status: Status) -> list[Completion]:
        """Log an error, and say so to who waits for an answer."""
        abort = status is Status.COMPLETER_ABORT
        self._report(
            "completer_abort" if abort else "unsupported", request, advisory=not request.posted
        )
        if abort:
            self._space.set_field("command", "signaled_abort", 1)
        return [] if request.posted else [self._answer(request, status)]

    def _answer(self, request: Request, status: Status, payload: bytes = b"") -> Completion:
        lower, count = (0, 4)
        if request.kind is Kind.MEMORY_READ:
            lower, count = read_span(request)
        return Completion(
            status=status,
            length_dw=len(payload) // 4,
            byte_count=count,
            lower_address=lower,
            completer=self._space.routing_id,
            requester=request.requester,
            tag=request.tag,
            tc=request.tc,
            attr=request.attr & 0b11,  # ID-based ordering is not the requester's to choose
            payload=payload,
        )

    # Memory

    def _memory(self, request: Request) -> list[Completion]:
        space = self._space
        foreign = request.tenant.pasid is not None and not space.settings.pasid_enable
        register, place = request.address - space.bar0, request.address - space.bar2
        hit = 0 <= register < self._bar0_bytes or 0 <= place < self._bar2_bytes
        if foreign or not space.settings.memory_space or not hit:
            return self._refuse(request, Status.UNSUPPORTED_REQUEST)
        if request.poisoned:
            return self._poisoned(request)
        if 0 <= register < self._bar0_bytes:
            return self._registers(request, register)
        return self._portals(request, place)

    def _registers(self, request: Request, offset: int) -> list[Completion]:
        if _is_long(request) or request.kind is Kind.DEFERRABLE_WRITE:
            return self._refuse(request, Status.COMPLETER_ABORT)
        first = offset & ~7
        end = offset + 4 * request.length_dw
        if request.kind is Kind.MEMORY_READ:
            read = self._inside.read_word
            words = b"".join(read(at).to_bytes(8, "little") for at in range(first, end, 8))
            data = words[offset - first : end - first]
            return [self._answer(request, Status.SUCCESS, data)]
        enables = _enables(request) << offset - first
        data = bytes(offset - first) + request.payload + bytes(4)
        for index, at in enumerate(range(first, end, 8)):
            lanes = enables >> 8 * index & 0xFF
            if lanes:
                word = int.from_bytes(data[8 * index : 8 * index + 8], "little")
                self._inside.write_word(at, word, _LANES[lanes])
        return []

    def _portals(self, request: Request, offset: int) -> list[Completion]:
        if request.kind is Kind.MEMORY_READ:
            if _is_long(request):
                return self._refuse(request, Status.COMPLETER_ABORT)
            return [self._answer(request, Status.SUCCESS, b"\xff" * 4 * request.length_dw)]
        deferrable = request.kind is Kind.DEFERRABLE_WRITE
        queue, portal = divmod(offset // PAGE_BYTES, PORTALS_PER_QUEUE)
        if not _whole(request, SUBMISSION_BYTES):
            if deferrable:
                return self._refuse(request, Status.COMPLETER_ABORT)
            if _whole(request, PIECE_BYTES):
                place = request.address % SUBMISSION_BYTES
                self._inside.stage(queue, portal, place, request.payload)
            return []
        accepted = self._inside.submit(queue, portal, request.payload, deferrable)
        status = Status.SUCCESS if accepted else Status.REQUEST_RETRY
        return [self._answer(request, status)] if deferrable else []

    # Configuration and messages

    def _config(self, request: Request) -> list[Completion]:
        destination = request.address >> 16 & 0xFFFF
        if destination & 7 or request.tenant.pasid is not None:
            return self._refuse(request, Status.UNSUPPORTED_REQUEST)
        if request.poisoned:
            return self._poisoned(request)
        offset = request.address & 0xFFC
        if request.kind is Kind.CONFIG_READ:
            data = self._space.read(offset).to_bytes(4, "little")
            return [self._answer(request, Status.SUCCESS, data)]
        self._space.routing_id = destination
        self._space.write(offset, int.from_bytes(request.payload, "little"), request.first_be)
        answer = self._answer(request, Status.SUCCESS)
        self._configured()
        return [answer]

    def _message(self, request: Request) -> list[Completion]:
        if _code(request) not in _SILENT_MESSAGES | {_PME_TURN_OFF}:
            return self._refuse(request, Status.UNSUPPORTED_REQUEST)
        if request.poisoned:
            return self._poisoned(request)
        if _code(request) == _PME_TURN_OFF:
            self._send(_PME_TO_ACK, routing=0b101)  # gathered on its way
        return []


def _code(message: Request) -> int:
    return message.last_be << 4 | message.first_be


def _whole(request: Request, size: int) -> bool:
    """Exactly so many bytes, aligned."""
    return (
        4 * request.length_dw == size
        and request.address % size == 0
        and request.first_be == request.last_be == 0xF
    )


def _is_long(request: Request) -> bool:
    """Whether it concerns more bytes than are taken at a time, from the first to the last."""
    whole = LONGEST_BYTES // 4
    edges = request.first_be.bit_count() + request.last_be.bit_count()
    return request.length_dw > whole + 1 or (request.length_dw == whole + 1 and edges > 4)


def _enables(request: Request) -> int:
    """One bit for each byte of the payload."""
    if request.length_dw == 1:
        return request.first_be
    middle = (1 << 4 * (request.length_dw - 2)) - 1
    return request.first_be | middle << 4 | request.last_be << 4 * (request.length_dw - 1)
