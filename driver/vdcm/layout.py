"""What a guest sees before it has changed anything: configuration space and BAR0 (DSA §7.5.1)."""

from dataclasses import dataclass, replace

from hw.regs import Config, Register, Space
from hw.regs.bar0 import bar0
from hw.regs.bar2 import PAGE_BYTES, PORTALS_PER_QUEUE
from hw.regs.capabilities import constants
from hw.regs.configspace import BYTES as CONFIG_BYTES
from hw.regs.configspace import MSIX, PCIE, capabilities, config_space

from ..discovery import Capabilities
from ..settings import FIELDS, Mode, QueueSettings
from .image import Image

EXTENDED_START = 0x100
STANDARD = ("PCI Express", "MSI-X")
EXTENDED = ("Process Address Space ID", "Tocsin")
"""Capabilities of a virtual device: no Scalable I/O Virtualization, as it composes nothing."""


@dataclass(frozen=True)
class Identity:
    """What the host's function says it is, and its guests' therefore as well."""

    vendor_id: int
    device_id: int
    subsystem_vendor_id: int
    subsystem_id: int
    revision: int


class Layout:
    """The registers of a virtual device with one queue.

    Parameters
    ----------
    identity
        Of the host's function.
    host
        What the host's device can do.
    settings
        The configuration of the queue, as the host has made it.
    vectors
        Entries of its MSI-X table, a power of two. Number 0 is the composer's own.
    exclusive
        Whether no other guest has the queue; then this one chooses its mode.

    Members
    -------
    config_space, bar0
        The registers; PCIe capabilities are where :attr:`pcie`, :attr:`msix`, :attr:`pasid` say.
    """

    def __init__(
        self,
        identity: Identity,
        host: Capabilities,
        settings: QueueSettings,
        *,
        vectors: int,
        exclusive: bool,
    ) -> None:
        self.vectors = vectors
        self.exclusive = exclusive
        self.settings = settings
        self._host = host
        self._config = Config(
            **vars(identity),
            msix_vectors=vectors,
            queues=1,
            groups=1,
            engines=1,
            max_transfer_log2=host.max_transfer_log2,
            max_batch_log2=host.max_batch_log2,
        )
        self.bar0: Space = bar0(self._config)
        self.config = {item.name: item for item in self._config_registers()}
        self.registers = {item.name: item for item in self.bar0.registers}
        self.pcie, self.msix = PCIE, MSIX
        self.pasid = self.config["pasid"].offset
        self.bar_bytes = {0: self.bar0.size_bytes, 2: PORTALS_PER_QUEUE * PAGE_BYTES}

    def config_image(self) -> Image:
        """Configuration space after reset."""
        image = Image(CONFIG_BYTES)
        for register in self.config.values():
            image.add(register)
        return image

    def bar0_image(self) -> Image:
        """BAR0 after reset."""
        image = Image(self.bar0.size_bytes)
        values = constants(self._config) | self._restricted()
        for register in self.registers.values():
            if register.name not in ("evlcfg", "evlstatus"):
                image.add(register, value=values.get(register.name, 0))
        for name in ("msixperm", "msix"):
            table = self.bar0.table(name)
            for index in range(table.count):
                for register in table.registers:
                    image.add(register, table.entry(index))
        self.lay_queue(image)
        return image

    def lay_queue(self, image: Image) -> None:
        """The queue's entry as the host has configured it, which a guest cannot write as bytes."""
        entry = self.bar0.table("wqcfg").entry(0)
        words = self.settings.words(replace(self._host, operation_config=True))
        for name, value in words.items():
            image.put(FIELDS[name], value, entry)
        shared_by_several = not self.exclusive
        status = FIELDS["status"].pack(mode_support=int(not shared_by_several))
        image.put(FIELDS["status"], status, entry)

    def _restricted(self) -> dict[str, int]:
        """Capability registers that differ from a small device's own (DSA §7.5.5)."""
        registers, exclusive = self.registers, self.exclusive
        dedicated = self.settings.mode is Mode.DEDICATED
        general = registers["gencap"].unpack(constants(self._config)["gencap"])
        general |= {"ims_size": 0, "configurable": 0, "event_log": 0, "event_log_overflow": 0}
        general["single_entry_batch"] = int(self._host.single_entry_batch)
        fields = {
            "gencap": general,
            "wqcap": {
                "total_size": self.settings.size,
                "queues": 1,
                "config_size_log2": 1,
                "shared": int(exclusive or not dedicated),
                "dedicated": int(exclusive or dedicated),
                "priority": 1,
                "operation_config": 1,
            },
            "grpcap": {"groups": 1},
            "opcap": {"operations": self._host.operations},
            "ext_features": {},
            "ext_ims": {"vectors": 0},
            "ext_host_count": {},
            "offsets": registers["offsets"].unpack(constants(self._config)["offsets"])
            | {"ims": 0, "perfmon": 0},
        }
        present = {name: values for name, values in fields.items() if name in registers}
        return {name: registers[name].pack(**values) for name, values in present.items()}

    def _config_registers(self) -> list[Register]:
        """The header and the capabilities that a guest gets, linked anew."""
        chain = {item.name: item for item in capabilities(self._config)}
        linked = {item.name for each in chain.values() for item in each.registers}
        header = [r for r in config_space(self._config).registers if r.name not in linked]
        found = [_constant(r, pointer=PCIE) if r.name == "capabilities" else r for r in header]
        for name, following in zip(STANDARD, (MSIX, 0), strict=True):
            first, *rest = chain[name].registers
            found += [_constant(first, next=following), *rest]
        place = EXTENDED_START
        for number, name in enumerate(EXTENDED):
            base = chain[name].offset
            moved = [replace(r, offset=r.offset - base + place) for r in chain[name].registers]
            end = -(-max(r.offset + r.size_bytes for r in moved) // 16) * 16
            last = number == len(EXTENDED) - 1
            found += [_constant(moved[0], next=0 if last else end), *moved[1:]]
            place = end
        return found


def _constant(register: Register, **values: int) -> Register:
    """A register with other constants."""
    fields = tuple(replace(f, reset=values.get(f.name, f.reset)) for f in register.fields)
    return replace(register, fields=fields)
