"""Inbound requests: which there are, who answers them, and how."""

from collections.abc import Callable
from typing import Protocol

from hw.regs.bar0 import bar0
from hw.regs.bar2 import PAGE_BYTES, PORTALS_PER_QUEUE, SUBMISSION_BYTES, bar2_bytes
from hw.regs.config import Config

from .config_space import ConfigSpace
from .tlp import Completion, Kind, Malformed, Request, Status, Tlp, read_span
from .wire import header_dws, prefix_dw

LONGEST_DW = 16
"""Registers take and give at most 64 bytes at a time."""

_LANES = [sum(0xFF << 8 * byte for byte in range(8) if be >> byte & 1) for be in range(256)]

#: Message codes that an endpoint takes without a word (PCIe Base 6.x §2.2.8): Unlock, PM, ignored
#: messages, Set Slot Power Limit, Vendor-Defined Type 1.
_SILENT_MESSAGES = {0x00, 0x14, 0x19, 0x40, 0x41, 0x43, 0x44, 0x45, 0x47, 0x48, 0x50, 0x7F}


class Inside(Protocol):
    """What lies behind the BARs."""

    def read_word(self, address: int) -> int:
        """The aligned 8-byte word of BAR0."""
        ...

    def write_word(self, address: int, data: int, lanes: int) -> None: ...

    def submit(self, queue: int, portal: int, data: bytes, deferrable: bool) -> bool:
        """A 64-byte write to a portal of BAR2. Returns whether it was accepted."""
        ...


class Completer:
    """Answers requests as a PCI Express endpoint does (PCIe Base 6.x §2.3.1).

    :meth:`handle` takes one TLP and returns the completions that answer it: none, or one.

    **Errors**: logged in configuration space. A request with an error has no effect.

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
        self._received_limit = config.max_payload_bytes

    def handle(self, tlp: Tlp) -> list[Completion]:
        """Answer one TLP."""
        if isinstance(tlp, Malformed):
            self._space.report("malformed", tlp.header, prefix=tlp.prefix)
            return []
        if isinstance(tlp, Completion):
            self._report("unexpected_completion", tlp, advisory=True)
            return []
        reason = self._malformed(tlp)
        if reason:
            self._report("malformed", tlp)
            return []
        if tlp.poisoned:
            return self._poisoned(tlp)
        foreign = tlp.tenant.pasid is not None and not self._space.settings.pasid_enable
        if foreign or tlp.unknown_prefix:
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
        self._space.report(error, header_dws(tlp), advisory=advisory, prefix=prefix_dw(tlp))

    def _malformed(self, request: Request) -> str | None:
        """What makes a receiver call a request malformed (PCIe Base 6.x §2.2, §2.3)."""
        memory = request.kind in (Kind.MEMORY_READ, Kind.MEMORY_WRITE, Kind.DEFERRABLE_WRITE)
        limit = self._space.settings.max_payload_bytes
        if len(request.payload) > limit:
            return "payload beyond Max_Payload_Size"
        if memory and (request.address & 0xFFF) + 4 * request.length_dw > 4096:
            return "crosses 4 KiB"
        if request.kind in (Kind.CONFIG_READ, Kind.CONFIG_WRITE) and (
            request.length_dw != 1 or request.last_be or request.tc or request.attr or request.at
        ):
            return "configuration request header"
        return None

    def _poisoned(self, request: Request) -> list[Completion]:
        """Poisoned data changes nothing here (PCIe Base 6.x §2.7.2.2)."""
        self._report("poisoned", request, advisory=not request.posted)
        if request.posted:
            return []
        return [self._answer(request, Status.UNSUPPORTED_REQUEST)]

    def _refuse(self, request: Request, status: Status) -> list[Completion]:
        """Log an error, and say so to who waits for an answer."""
        error = "completer_abort" if status is Status.COMPLETER_ABORT else "unsupported"
        self._report(error, request, advisory=not request.posted)
        if request.posted:
            return []
        if status is Status.COMPLETER_ABORT:
            self._space.set_field("command", "signaled_abort", 1)
        return [self._answer(request, status)]

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
            attr=request.attr,
            payload=payload,
        )

    # Memory

    def _memory(self, request: Request) -> list[Completion]:
        space = self._space
        if not space.settings.memory_space:
            return self._refuse(request, Status.UNSUPPORTED_REQUEST)
        offset = request.address - space.bar0
        if 0 <= offset < self._bar0_bytes:
            return self._registers(request, offset)
        offset = request.address - space.bar2
        if 0 <= offset < self._bar2_bytes:
            return self._portals(request, offset)
        return self._refuse(request, Status.UNSUPPORTED_REQUEST)

    def _registers(self, request: Request, offset: int) -> list[Completion]:
        if request.kind is Kind.DEFERRABLE_WRITE:
            return self._deferrable(request, False)
        if request.length_dw > LONGEST_DW:
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
            if request.length_dw > LONGEST_DW:
                return self._refuse(request, Status.COMPLETER_ABORT)
            return [self._answer(request, Status.SUCCESS, bytes(4 * request.length_dw))]
        deferrable = request.kind is Kind.DEFERRABLE_WRITE
        accepted = False
        if self._whole(request):
            queue, portal = divmod(offset // PAGE_BYTES, PORTALS_PER_QUEUE)
            accepted = self._inside.submit(queue, portal, request.payload, deferrable)
        return self._deferrable(request, accepted) if deferrable else []

    def _whole(self, request: Request) -> bool:
        """Exactly 64 aligned bytes."""
        return (
            4 * request.length_dw == SUBMISSION_BYTES
            and request.address % SUBMISSION_BYTES == 0
            and request.first_be == request.last_be == 0xF
        )

    def _deferrable(self, request: Request, accepted: bool) -> list[Completion]:
        """SC or Retry for 64 aligned bytes, and Completer Abort for anything else.

        Source: DSA §5.3, §9.3; PCIe Base 6.x §6.32.
        """
        if not self._whole(request):
            return self._refuse(request, Status.COMPLETER_ABORT)
        return [self._answer(request, Status.SUCCESS if accepted else Status.REQUEST_RETRY)]

    # Configuration and messages

    def _config(self, request: Request) -> list[Completion]:
        destination = request.address >> 16 & 0xFFFF
        if destination & 7:
            return self._refuse(request, Status.UNSUPPORTED_REQUEST)
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
        code = request.last_be << 4 | request.first_be
        if code in _SILENT_MESSAGES:
            return []
        return self._refuse(request, Status.UNSUPPORTED_REQUEST)


def _enables(request: Request) -> int:
    """One bit for each byte of the payload."""
    if request.length_dw == 1:
        return request.first_be
    middle = (1 << 4 * (request.length_dw - 2)) - 1
    return request.first_be | middle << 4 | request.last_be << 4 * (request.length_dw - 1)
