"""A kernel's interrupt subsystem, in the structure and with the names of Linux's.

An interrupt is a number with data at each of several levels, one below the other::

    a device's domain      an entry of its MSI-X table or of its message storage   msi, pci
    the remapping domain   an entry of the table that the machine looks it up in   remapping
    the vector domain      a processor and one of its vectors                      vector, matrix

:func:`boot` gives the subsystem of a machine. A failure at any level undoes what the others have
done, and is an :class:`IrqError` with the code that Linux returns.
"""

from .cpuhotplug import cpu_down, cpu_up
from .errors import ENOTSUPP, IrqError, IrqShortage, MsiMap
from .irqdesc import IrqAffinityDesc, IrqChip, IrqData, IrqReturn, SetMask, VcpuData
from .manage import (
    disable_irq,
    enable_irq,
    free_irq,
    irq_set_affinity,
    irq_set_vcpu_affinity,
    request_irq,
    request_threaded_irq,
    synchronize_irq,
)
from .matrix import CpuMask, IrqMatrix
from .msi import (
    MSI_ANY_INDEX,
    BusToken,
    MsiDesc,
    MsiDomainId,
    MsiDomainTemplate,
    MsiFlag,
    MsiInstanceCookie,
)
from .msi_alloc import irq_rewrite_msi_msg
from .pci import (
    SIMPLE_DESCS,
    irq_create_affinity_masks,
    pci_alloc_irq_vectors,
    pci_create_ims_domain,
    pci_free_irq_vectors,
    pci_ims_alloc_irq,
    pci_ims_free_irq,
    pci_irq_vector,
    pci_msix_alloc_irq_at,
    pci_msix_can_alloc_dyn,
    pci_msix_free_irq,
)
from .pci_dev import PciDev
from .posted import PostedDescriptor
from .system import InterruptLine, IrqSystem, boot

__all__ = [
    "ENOTSUPP",
    "MSI_ANY_INDEX",
    "SIMPLE_DESCS",
    "BusToken",
    "CpuMask",
    "InterruptLine",
    "IrqAffinityDesc",
    "IrqChip",
    "IrqData",
    "IrqError",
    "IrqMatrix",
    "IrqReturn",
    "IrqShortage",
    "IrqSystem",
    "MsiDesc",
    "MsiDomainId",
    "MsiDomainTemplate",
    "MsiFlag",
    "MsiInstanceCookie",
    "MsiMap",
    "PciDev",
    "PostedDescriptor",
    "SetMask",
    "VcpuData",
    "boot",
    "cpu_down",
    "cpu_up",
    "disable_irq",
    "enable_irq",
    "free_irq",
    "irq_create_affinity_masks",
    "irq_rewrite_msi_msg",
    "irq_set_affinity",
    "irq_set_vcpu_affinity",
    "pci_alloc_irq_vectors",
    "pci_create_ims_domain",
    "pci_free_irq_vectors",
    "pci_ims_alloc_irq",
    "pci_ims_free_irq",
    "pci_irq_vector",
    "pci_msix_alloc_irq_at",
    "pci_msix_can_alloc_dyn",
    "pci_msix_free_irq",
    "request_irq",
    "request_threaded_irq",
    "synchronize_irq",
]
