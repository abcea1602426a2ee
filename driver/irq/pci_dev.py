"""A function of a PCI device, as far as its interrupts go (Linux include/linux/pci.h)."""

from typing import TYPE_CHECKING

from ..lock import Lock
from ..transport import Waiting

if TYPE_CHECKING:
    from .msi import MsiDomain, MsiDomainId
    from .system import IrqSystem


class PciDev:
    """What the MSI code knows of a device.

    Parameters
    ----------
    system
        The interrupt subsystem of its machine.
    transport
        The way to it.
    requester_id
        With which it sends its messages.

    Members
    -------
    domains
        Of its tables.
    msix_enabled
        Whether MSI-X vectors were allocated.
    """

    def __init__(self, system: "IrqSystem", transport: Waiting, requester_id: int) -> None:
        self.system = system
        self.transport = transport
        self.requester_id = requester_id
        self.domains: dict[MsiDomainId, MsiDomain] = {}
        self.msix_enabled = False
        self.descs_lock = Lock(transport)
