"""Configuration space, made from the register data."""

from collections.abc import Sequence
from dataclasses import dataclass

from hw.regs import configspace
from hw.regs.config import Config
from hw.regs.schema import Access, Register

#: Which byte enables select which bits of a DW.
_LANES = [sum(0xFF << 8 * byte for byte in range(4) if be >> byte & 1) for be in range(16)]

_COMMAND, _CONTROL, _PM = 0x04, configspace.PCIE + 0x08, configspace.PM + 4


@dataclass(frozen=True, slots=True)
class Settings:
    """What software has set, as the rest of the device needs it."""

    memory_space: bool
    bus_master: bool
    max_payload_bytes: int
    max_read_bytes: int
    extended_tag: bool
    timeout_disable: bool
    msix_enable: bool
    function_mask: bool
    pasid_enable: bool
    pasid_privileged: bool


@dataclass(slots=True)
class _Word:
    """One register: its value and how each bit of it behaves."""

    value: int
    reset: int
    writable: int
    clearable: int
    sticky: int


class ConfigSpace:
    """4096 bytes that behave as the register data says.

    Use :meth:`read` and :meth:`write` for whole DWs with byte enables, :attr:`settings` for what
    follows from them, and :meth:`report` to log an error.

    **Errors**: none; what is not there reads as 0 and ignores writes.

    Parameters
    ----------
    config
        Parameters of the device.

    Members
    -------
    settings : Settings
        Up to date after every write.
    bar0, bar2 : int
        Base addresses.
    routing_id : int
        Bus, device and function number, as captured (PCIe Base 6.x §2.2.6.2).
    flr_requested : bool
        Set by a write to Initiate Function Level Reset; cleared by :meth:`reset`.
    """

    def __init__(self, config: Config):
        self._limit = config.max_payload_bytes
        space = configspace.config_space(config)
        self._names = {item.name: item for item in space.registers}
        self._words = {item.offset: self._word(item) for item in space.registers}
        self.routing_id = 0
        self.reset(cold=True)

    @staticmethod
    def _word(register: Register) -> _Word:
        return _Word(
            register.reset,
            register.reset,
            register.mask(Access.RW) if register.mask() else 0,
            sum(f.mask for f in register.fields if f.access is Access.RW1C),
            sum(f.mask for f in register.fields if f.sticky),
        )

    def reset(self, *, cold: bool = False) -> None:
        """Fundamental reset, or a Function Level Reset, which spares sticky fields."""
        for word in self._words.values():
            kept = 0 if cold else word.sticky
            word.value = word.value & kept | word.reset & ~kept
        if cold:
            self.routing_id = 0
        self.flr_requested = False
        self._update()

    def read(self, offset: int) -> int:
        """The DW at a DW-aligned offset."""
        word = self._words.get(offset)
        return word.value if word else 0

    def write(self, offset: int, value: int, enables: int = 0xF) -> None:
        """Write the enabled bytes of the DW at a DW-aligned offset."""
        word = self._words.get(offset)
        if word is None:
            return
        lanes = _LANES[enables]
        if offset == _CONTROL and value & lanes & 1 << 15:
            self.flr_requested = True
        if offset == _PM and lanes & 3 and value & 3 in (1, 2):
            lanes &= ~3  # D1 and D2 are not supported: the write is discarded
        new = word.value & ~(lanes & word.writable) | value & lanes & word.writable
        word.value = new & ~(value & lanes & word.clearable)
        self._update()

    def field(self, register: str, name: str) -> int:
        """The value of a field, by name."""
        item = self._names[register]
        return item.get(self._words[item.offset].value, name)

    def set_field(self, register: str, name: str, value: int) -> None:
        """Change a field as hardware does."""
        item = self._names[register]
        word = self._words[item.offset]
        word.value = item.set(word.value, **{name: value})

    def _update(self) -> None:
        field = self.field
        awake = field("pm_control", "state") == 0
        self.settings = Settings(
            memory_space=bool(field("command", "memory_space")) and awake,
            bus_master=bool(field("command", "bus_master")) and awake,
            max_payload_bytes=min(128 << field("device_control", "max_payload"), self._limit),
            max_read_bytes=min(128 << field("device_control", "max_read"), 4096),
            extended_tag=bool(field("device_control", "extended_tag")),
            timeout_disable=bool(field("device_control_2", "timeout_disable")),
            msix_enable=bool(field("msix", "enable")),
            function_mask=bool(field("msix", "function_mask")),
            pasid_enable=bool(field("pasid_control", "enable")),
            pasid_privileged=bool(
                field("pasid_control", "enable") and field("pasid_control", "privileged")
            ),
        )
        self.bar0 = self._base("bar0")
        self.bar2 = self._base("bar2")

    def _base(self, name: str) -> int:
        low = self._words[self._names[name].offset].value & ~0xF
        return low | self._words[self._names[f"{name}_high"].offset].value << 32

    def report(
        self,
        error: str,
        header: Sequence[int] = (),
        *,
        advisory: bool = False,
        prefix: int | None = None,
    ) -> str | None:
        """Log an uncorrectable error (PCIe Base 6.x §6.2.4, §6.2.5).

        Parameters
        ----------
        error
            A key of :data:`hw.regs.configspace.UNCORRECTABLE`.
        header
            Header DWs of the TLP, if there is one.
        advisory
            The case qualifies as Advisory Non-Fatal (§6.2.3.2.4); it is one only while the error's
            severity is non-fatal.
        prefix
            The end-to-end prefix of the TLP, if it has one.

        Returns
        -------
        str | None
            The error message that is enabled to be sent: ``"correctable"``, ``"non_fatal"``,
            ``"fatal"`` or None.
        """
        fatal = bool(self.field("aer_severity", error))
        if error == "unsupported":
            self.set_field("device_control", "unsupported_detected", 1)
        if error == "poisoned":
            self.set_field("command", "parity_error", 1)
        if advisory and not fatal:
            self.set_field("device_control", "correctable_detected", 1)
            self.set_field("aer_correctable", "advisory", 1)
            if self.field("aer_correctable_mask", "advisory"):
                return None
            unmasked = self._log(error, header, prefix)
            return "correctable" if unmasked and self._enabled("correctable", error) else None
        severity = "fatal" if fatal else "non_fatal"
        self.set_field("device_control", f"{severity}_detected", 1)
        if not self._log(error, header, prefix):
            return None
        if self.field("command", "serr"):
            self.set_field("command", "signaled_error", 1)
            return severity
        return severity if self._enabled(severity, error) else None

    def _enabled(self, severity: str, error: str) -> bool:
        """Whether Device Control lets the function report this."""
        quiet = error == "unsupported" and not self.field("device_control", "unsupported")
        return bool(self.field("device_control", severity)) and not quiet

    def _log(self, error: str, header: Sequence[int], prefix: int | None) -> bool:
        """Set the status bit; fill the header log if it is free. Returns whether unmasked."""
        status = self._words[self._names["aer_uncorrectable"].offset].value
        mask = self.field("aer_uncorrectable_mask", error)
        first = self.field("aer_control", "first_error")
        free = not status >> first & 1
        self.set_field("aer_uncorrectable", error, 1)
        if mask:
            return False
        if free:
            self.set_field("aer_control", "first_error", configspace.UNCORRECTABLE[error])
            self.set_field("aer_control", "prefix_present", int(prefix is not None))
            for index in range(4):
                dw = header[index] if index < len(header) else 0
                self.set_field(f"aer_header_{index}", "dw", dw)
                self.set_field(f"aer_prefix_{index}", "dw", (prefix or 0) if index == 0 else 0)
        return True
