"""The walk through configuration space: what the function says it can do.

Everything here is read-only. Structure follows PCIe Base 6.x §7.5 and §7.9; a chain that loops,
leaves its place or ends in nothing raises :class:`~driver.errors.ProbeError`.
"""

from dataclasses import dataclass

from hw.regs.configspace import (
    CAPABILITY_MSIX,
    CAPABILITY_PCIE,
    DVSEC_INTEL,
    DVSEC_SIOV,
    DVSEC_TOCSIN,
    EXTENDED_DVSEC,
    EXTENDED_PASID,
)

from .errors import ProbeError
from .transport import Transport

STANDARD_START, STANDARD_END = 0x40, 0x100
EXTENDED_START, EXTENDED_END = 0x100, 0x1000
DVSEC_BYTES = 0x0A
"""The header that every DVSEC has."""

SIOV_NAME = "Scalable I/O Virtualization"


@dataclass(frozen=True)
class Element:
    """One capability: its kind and where it starts."""

    identifier: int
    offset: int
    extended: bool


@dataclass(frozen=True)
class MsixPlace:
    """The MSI-X capability: where it is, and where its table and pending bits are."""

    offset: int
    vectors: int
    table_bar: int
    table_offset: int
    pba_bar: int
    pba_offset: int


@dataclass(frozen=True)
class Dvsec:
    """A Designated Vendor-Specific Extended Capability (PCIe Base 6.x §7.9.6)."""

    offset: int
    vendor: int
    identifier: int
    length: int


@dataclass(frozen=True)
class FunctionMap:
    """What was found in configuration space.

    Parameters
    ----------
    vendor, device
        Identity.
    pcie, pasid
        Offsets of the PCI Express and PASID capabilities.
    pasid_width
        Bits of the largest PASID.
    msix
        The MSI-X capability.
    siov
        Whether it composes assignable interfaces; a device that was composed itself does not.
    page_bar, page_offset
        Where the register page that our own DVSEC names is.
    """

    vendor: int
    device: int
    pcie: int
    pasid: int
    pasid_width: int
    msix: MsixPlace
    siov: bool
    page_bar: int
    page_offset: int


async def standard_chain(transport: Transport) -> list[Element]:
    """Capabilities in the first 256 bytes, in order."""
    if not await transport.config_read(0x06, 2) & 0x10:
        raise ProbeError("the function has no capability list")
    found: list[Element] = []
    place = await transport.config_read(0x34, 1) & ~3
    seen: set[int] = set()
    while place:
        if not STANDARD_START <= place < STANDARD_END:
            raise ProbeError(f"the capability list leads to {place:#x}, inside the header")
        if place in seen:
            raise ProbeError(f"the capability list loops back to {place:#x}")
        seen.add(place)
        header = await transport.config_read(place, 2)
        if header in (0, 0xFFFF):
            raise ProbeError(f"the capability list is cut off at {place:#x}: nothing is there")
        found.append(Element(header & 0xFF, place, extended=False))
        place = header >> 8 & ~3
    return found


async def extended_chain(transport: Transport) -> list[Element]:
    """Capabilities from 0x100 on, in order; none if the first header is empty."""
    found: list[Element] = []
    place = EXTENDED_START
    seen: set[int] = set()
    while place:
        if place < EXTENDED_START:
            raise ProbeError(f"the extended capability list leads to {place:#x}, before its start")
        if place in seen:
            raise ProbeError(f"the extended capability list loops back to {place:#x}")
        seen.add(place)
        header = await transport.config_read(place, 4)
        if header in (0, 0xFFFF_FFFF):
            if not found:
                return found
            raise ProbeError(
                f"the extended capability list is cut off at {place:#x}: nothing is there"
            )
        found.append(Element(header & 0xFFFF, place, extended=True))
        place = header >> 20 & ~3
    return found


async def map_function(transport: Transport) -> FunctionMap:
    """Find everything that the driver needs, or say what is missing."""
    identity = await transport.config_read(0x00, 4)
    if identity & 0xFFFF in (0xFFFF, 0x0000):
        raise ProbeError(
            f"the device does not answer: its vendor ID reads as {identity & 0xFFFF:#06x}"
        )
    standard = await standard_chain(transport)
    extended = await extended_chain(transport)
    dvsecs = [
        await _dvsec(transport, item.offset)
        for item in extended
        if item.identifier == EXTENDED_DVSEC
    ]
    vendor = identity & 0xFFFF
    pasid = _find(extended, EXTENDED_PASID, "PASID")
    capability = await transport.config_read(pasid + 4, 2)
    width = capability >> 8 & 0x1F
    if not 1 <= width <= 20:
        raise ProbeError(f"the PASID width reads as {width} bits; 1 to 20 are possible")
    siov = _seek_dvsec(dvsecs, DVSEC_INTEL, DVSEC_SIOV, 0x18, SIOV_NAME)
    if siov is not None and not await transport.config_read(siov.offset + 0x14, 4) & 1:
        raise ProbeError(
            "the device has no interrupt message storage, says its Scalable I/O Virtualization "
            "capability"
        )
    own = _find_dvsec(dvsecs, vendor, DVSEC_TOCSIN, 0x10, "Tocsin")
    page = await transport.config_read(own.offset + 0x0C, 4)
    return FunctionMap(
        vendor=vendor,
        device=identity >> 16,
        pcie=_find(standard, CAPABILITY_PCIE, "PCI Express"),
        pasid=pasid,
        pasid_width=width,
        msix=await _msix(transport, _find(standard, CAPABILITY_MSIX, "MSI-X")),
        siov=siov is not None,
        page_bar=page & 7,
        page_offset=page & ~7,
    )


def _find(chain: list[Element], identifier: int, name: str) -> int:
    for item in chain:
        if item.identifier == identifier:
            return item.offset
    raise ProbeError(f"the function has no {name} capability")


def _find_dvsec(found: list[Dvsec], vendor: int, identifier: int, length: int, name: str) -> Dvsec:
    item = _seek_dvsec(found, vendor, identifier, length, name)
    if item is None:
        raise ProbeError(f"the function has no {name} capability")
    return item


def _seek_dvsec(
    found: list[Dvsec], vendor: int, identifier: int, length: int, name: str
) -> Dvsec | None:
    for item in found:
        if (item.vendor, item.identifier) == (vendor, identifier):
            if item.length < length:
                raise ProbeError(
                    f"the {name} capability at {item.offset:#x} has {item.length} bytes; "
                    f"at least {length} are needed"
                )
            return item
    return None


async def _dvsec(transport: Transport, offset: int) -> Dvsec:
    if offset + DVSEC_BYTES > EXTENDED_END:
        raise ProbeError(f"the capability at {offset:#x} does not fit into configuration space")
    header = await transport.config_read(offset + 4, 4)
    length = header >> 20
    if length < DVSEC_BYTES or offset + length > EXTENDED_END:
        raise ProbeError(
            f"the vendor-specific capability at {offset:#x} has an impossible length of {length}"
        )
    identifier = await transport.config_read(offset + 8, 2)
    return Dvsec(offset, header & 0xFFFF, identifier, length)


async def _msix(transport: Transport, offset: int) -> MsixPlace:
    control = await transport.config_read(offset + 2, 2)
    table = await transport.config_read(offset + 4, 4)
    pba = await transport.config_read(offset + 8, 4)
    return MsixPlace(offset, (control & 0x7FF) + 1, table & 7, table & ~7, pba & 7, pba & ~7)
