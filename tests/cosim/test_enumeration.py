"""The device on the bus: enumeration, and configuration space as an independent decoder sees it."""

import re
import shutil
import subprocess

import pytest

from hw.regs.bar0 import bar0
from hw.regs.bar2 import bar2_bytes
from sim.bench import run

from .models import CONFIG, device

NAMES = {
    "Power Management version 3",
    "Express (v2) Endpoint",
    "MSI-X: Enable- Count=64 Masked-",
    "Advanced Error Reporting",
    "Device Serial Number 70-c5-00-01-00-00-00-01",
    "Designated Vendor-Specific: Vendor=8086 ID=0005",
    "Process Address Space ID (PASID)",
    "Designated Vendor-Specific: Vendor=70c5 ID=0001",
}
BROKEN = re.compile(r"access denied|unknown|broken|corrupt|\?\?|<chain", re.IGNORECASE)
NEWER_THAN_THE_DECODER = re.compile(r"Extended Capability ID 0x2f")
"""How pciutils before 3.10 prints Device 3."""


@pytest.fixture(scope="module")
def enumerated():
    return run(device(), "tests.cosim.bench_enumeration", seed=1)


@pytest.fixture(scope="module")
def decoded(enumerated, tmp_path_factory):
    if shutil.which("lspci") is None:
        pytest.skip("lspci is not installed; Debian has it in the package pciutils")
    space = bytes.fromhex(enumerated["space"])
    lines = ["01:00.0 System peripheral: Tocsin"]
    for offset in range(0, len(space), 16):
        lines.append(f"{offset:02x}: {space[offset : offset + 16].hex(' ')}")
    dump = tmp_path_factory.mktemp("lspci") / "dump"
    dump.write_text("\n".join(lines) + "\n")
    return subprocess.run(
        ["lspci", "-F", str(dump), "-vvv", "-n"], capture_output=True, text=True, check=True
    ).stdout


def test_device_keeps_the_rules_of_the_bus(enumerated):
    assert enumerated["errors"] == []


def test_bars_have_the_sizes_of_the_register_map(enumerated):
    assert enumerated["bars"] == [bar0(CONFIG).size_bytes, bar2_bytes(CONFIG)]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_lspci_names_the_capability(decoded, name):
    assert name in decoded


def test_lspci_sees_device_3(decoded):
    assert "Device 3" in decoded or NEWER_THAN_THE_DECODER.search(decoded)


def test_lspci_finds_nothing_broken(decoded):
    strange = [
        line.strip()
        for line in decoded.splitlines()
        if BROKEN.search(line) and not NEWER_THAN_THE_DECODER.search(line)
    ]
    assert strange == []


def test_lspci_sees_two_64_bit_prefetchable_bars(decoded):
    for bar in (0, 2):
        assert re.search(rf"Region {bar}: Memory at \S+ \(64-bit, prefetchable\)", decoded)
