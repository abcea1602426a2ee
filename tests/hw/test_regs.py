"""The register map says what the specifications say, and refuses to say anything else."""

import pytest

from hw.regs import Access, Config, ConfigError, Register, Space, bits
from hw.regs.bar0 import bar0
from hw.regs.bar2 import Portal, bar2_bytes, portal
from hw.regs.capabilities import constants
from hw.regs.configspace import capabilities, config_space
from hw.regs.descriptor import DESCRIPTOR

# DSA §9.2: where software that nobody here wrote expects the registers.
DSA_OFFSETS = {
    "version": 0x00,
    "gencap": 0x10,
    "wqcap": 0x20,
    "grpcap": 0x30,
    "engcap": 0x38,
    "opcap": 0x40,
    "offsets": 0x60,
    "gencfg": 0x80,
    "genctrl": 0x88,
    "gensts": 0x90,
    "intcause": 0x98,
    "cmd": 0xA0,
    "cmdstatus": 0xA8,
    "cmdcap": 0xB0,
    "swerror": 0xC0,
    "evlcfg": 0xE0,
    "evlstatus": 0xF0,
}

SIZES = [Config(), Config(ims_vectors=16128, msix_vectors=2048, queues=64), Config(queues=1)]


@pytest.mark.parametrize("name, offset", DSA_OFFSETS.items())
def test_register_lies_where_dsa_has_it(name, offset):
    assert bar0(Config()).register(name).offset == offset


@pytest.mark.parametrize("config", SIZES)
def test_tables_are_found_through_offsets(config):
    space = bar0(config)
    offsets = space.register("offsets").unpack(constants(config)["offsets"])
    for name in ("grpcfg", "wqcfg", "msixperm", "ims"):
        assert offsets[name] * 0x100 == space.table(name).offset


@pytest.mark.parametrize("config", SIZES)
def test_gencap_counts_message_storage_in_256ths(config):
    gencap = constants(config)["gencap"]
    assert (gencap >> 25 & 0x3F) * 256 == config.ims_vectors == bar0(config).table("ims").count


@pytest.mark.parametrize("config", SIZES)
def test_message_tables_have_pages_of_their_own(config):
    space = bar0(config)
    for name in ("msix", "pba", "ims"):
        assert space.table(name).offset % 0x1000 == 0


@pytest.mark.parametrize("config", SIZES)
def test_bars_are_powers_of_two_that_hold_everything(config):
    for size in (bar0(config).size_bytes, bar2_bytes(config)):
        assert size & (size - 1) == 0
    assert portal(config.queues - 1, Portal.LIMITED | Portal.IMS, 63) + 64 <= bar2_bytes(config)


def test_portal_pages_follow_dsa_order():
    # DSA §9.3: unlimited and limited for the MSI-X table, then the same for message storage.
    assert [portal(2, Portal(kind)) for kind in range(4)] == [0x8000, 0x9000, 0xA000, 0xB000]


@pytest.mark.parametrize("config", SIZES)
def test_capability_chain_ends_and_names_each_next(config):
    space = config_space(config)
    by_offset = {r.offset: r for r in space.registers}
    chain = [item.offset for item in capabilities(config)]
    walked, at = [], by_offset[0x34]["pointer"].reset
    while at:
        walked.append(at)
        at = by_offset[at]["next"].reset
    at = 0x100
    while at:
        walked.append(at)
        at = by_offset[at]["next"].reset
    assert walked == chain


def test_siov_capability_says_ims_where_linux_looked():
    # PCI_DVSEC_INTEL_SIOV_CAP is the DW at 0x14 of the DVSEC with vendor 0x8086, ID 5.
    space = config_space(Config())
    siov = space.register("siov").offset
    words = {r.offset: r.reset for r in space.registers}
    assert words[siov] & 0xFFFF == 0x0023
    assert words[siov + 4] & 0xFFFF == 0x8086
    assert words[siov + 8] & 0xFFFF == 0x0005
    assert words[siov + 0x14] & 1


def test_descriptor_fields_lie_where_dsa_has_them():
    word = DESCRIPTOR.pack(
        pasid=0xABCDE, flags=0xC, opcode=3, completion_address=0x1000, size_bytes=5, handle=0x777
    )
    raw = word.to_bytes(64, "little")
    assert raw[0:3] == bytes([0xDE, 0xBC, 0x0A])
    assert raw[4:8] == bytes([0x0C, 0, 0, 3])
    assert raw[8:16] == (0x1000).to_bytes(8, "little")
    assert raw[32:36] == (5).to_bytes(4, "little")
    assert raw[36:38] == (0x777).to_bytes(2, "little")


@pytest.mark.parametrize(
    "parameters, sentence",
    [
        (
            {"ims_vectors": 0},
            "ims_vectors takes 256 to 16128, a multiple of 256; 0 is not that",
        ),
        (
            {"ims_vectors": 16384},
            "ims_vectors takes 256 to 16128, a multiple of 256; 16384 is not that",
        ),
        ({"msix_vectors": 3}, "msix_vectors takes 2 to 2048, a power of two; 3 is not that"),
        ({"queues": 65}, "queues takes 1 to 64; 65 is not that"),
        ({"tags": 512}, "tags takes 4 to 256, a power of two; 512 is not that"),
        ({"vendor_id": 0xFFFF}, "vendor_id takes 0 to 65534; 65535 is not that"),
    ],
)
def test_impossible_parameter_is_named(parameters, sentence):
    with pytest.raises(ConfigError) as caught:
        Config(**parameters)
    assert str(caught.value) == sentence


def test_register_value_is_taken_apart_as_it_was_made():
    register = Register("r", 0, (bits("3:0", "low", Access.RW), bits("31:28", "high")))
    word = register.pack(low=5, high=9)
    assert word == 0x9000_0005
    assert register.unpack(word) == {"low": 5, "high": 9}
    assert register.set(word, low=0) == 0x9000_0000
    assert register.mask(Access.RW) == 0xF
    with pytest.raises(ValueError, match=r"r\.low takes 0 to 15, not 16"):
        register.pack(low=16)


def test_bits_taken_twice_are_refused():
    with pytest.raises(ValueError, match="bits 4:3 are taken twice"):
        Register("r", 0, (bits("3:0", "a"), bits("4:3", "b")))


def test_overlapping_registers_are_refused():
    with pytest.raises(ValueError, match="overlaps"):
        Space("S", 64, (Register("a", 0, width=64), Register("b", 4)))
