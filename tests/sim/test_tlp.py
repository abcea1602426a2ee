"""TLPs as bytes: what cocotbext-pcie lacks, and what it has."""

import random

import pytest
from cocotbext.pcie.core.tlp import Tlp as BaseTlp
from cocotbext.pcie.core.tlp import TlpType
from cocotbext.pcie.core.utils import PcieId

from sim.host.tlp import ExtraType, MalformedTlp, Tlp


def memory(kind, address, data=None, size=4, **values):
    tlp = Tlp()
    tlp.fmt_type = kind
    tlp.requester_id = PcieId(1, 2, 3)
    if data is None:
        tlp.set_addr_be(address, size)
    else:
        tlp.set_addr_be_data(address, data)
    for name, value in values.items():
        setattr(tlp, name, value)
    return tlp


def test_pasid_prefix_has_its_bits_where_they_belong():
    tlp = memory(TlpType.MEM_READ, 0x1000, pasid=0xABCDE, privileged=True, tag=5)
    assert tlp.pack()[:4] == bytes([0x91, 0x8A, 0xBC, 0xDE])
    tlp.privileged, tlp.execute = False, True
    assert tlp.pack()[:4] == bytes([0x91, 0x4A, 0xBC, 0xDE])


@pytest.mark.parametrize(
    ("kind", "byte"), [(ExtraType.DEFERRABLE_WRITE, 0x5B), (ExtraType.DEFERRABLE_WRITE_64, 0x7B)]
)
def test_deferrable_write_has_its_type(kind, byte):
    assert memory(kind, 0x1000, bytes(64)).pack()[0] == byte


def test_header_agrees_with_cocotbext_pcie():
    rng = random.Random(3)
    for _ in range(500):
        kind = rng.choice(
            [TlpType.MEM_READ, TlpType.MEM_WRITE_64, TlpType.CFG_READ_0, TlpType.CPL_DATA]
        )
        tlp = Tlp()
        tlp.fmt_type = kind
        tlp.requester_id, tlp.completer_id = PcieId(7, 3, 1), PcieId(9, 8, 2)
        tlp.tag, tlp.tc, tlp.attr = rng.randrange(1024), rng.randrange(8), rng.randrange(8)
        tlp.address = rng.randrange(1 << 30) * 4
        tlp.first_be, tlp.last_be = rng.randrange(16), rng.randrange(16)
        tlp.lower_address, tlp.byte_count = rng.randrange(128), rng.randrange(1, 4096)
        tlp.length = rng.randint(1, 64)
        tlp.data = rng.randbytes(4 * tlp.length) if tlp.has_data() else b""
        assert tlp.pack() == BaseTlp(tlp).pack()


def test_every_type_survives_packing():
    rng = random.Random(4)
    for kind in (
        *(kind for kind in TlpType if "PREFIX" not in kind.name),
        *ExtraType,
    ):
        tlp = Tlp()
        tlp.fmt_type = kind
        tlp.tag, tlp.length = 0x2A5, 7 if tlp.has_data() else 0
        tlp.data = bytearray(rng.randbytes(28)) if tlp.has_data() else bytearray()
        tlp.address, tlp.byte_count = 0x8000_1230 & 0xFFC if "CFG" in kind.name else 0x1230, 44
        if tlp.is_memory and not tlp.has_data():
            tlp.length = 7
        again = Tlp.unpack(tlp.pack())
        assert again.fmt_type is kind
        assert again.pack() == tlp.pack()


@pytest.mark.parametrize(
    ("packet", "complaint"),
    [
        (bytes(8), "a TLP of 8 bytes"),
        (bytes.fromhex("1f000001 00000000 00000000"), "undefined type"),
        (bytes.fromhex("40000002 00000000 00000000 00000000"), "4 bytes behind the header, 8"),
        (bytes.fromhex("00000001 00000000 00000000 00000000"), "4 bytes behind the header, 0"),
        (bytes.fromhex("91200000 00000001 0000000f 00000000"), "reserved bits"),
        (bytes.fromhex("20000001 0000000f 00000001"), "ends early"),
    ],
)
def test_what_is_no_tlp_is_named(packet, complaint):
    with pytest.raises(MalformedTlp, match=complaint):
        Tlp.unpack(packet)
