"""What probe refuses: each device is healthy but for one thing, and one sentence names it."""

import pytest

from driver import Device, ProbeError, Timeouts
from driver.config_space import extended_chain, standard_chain
from hw.regs.bar0 import TABLE_UNIT
from hw.regs.configspace import (
    AER,
    DEVICE3,
    MSIX,
    PASID,
    PCIE,
    PM,
    SERIAL,
    SIOV,
    TOCSIN,
)

from .paper import CONFIG, PaperTransport, run


def refusal(transport: PaperTransport) -> str:
    """Probe, expect a refusal, check that nothing was left behind, and return its sentence."""
    command = bytes(transport.config[4:6])
    with pytest.raises(ProbeError) as caught:
        run(Device.probe(transport, Timeouts(command=10_000, reset=10_000)))
    assert bytes(transport.config[4:6]) == command, "the command register was changed"
    assert not transport.config[MSIX + 3] & 0x80, "MSI-X was left enabled"
    assert not transport.config[PASID + 6] & 1, "PASIDs were left enabled"
    assert not any(transport.interrupts().values()), "an interrupt was leaked"
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence == sentence.strip()
    return sentence


@pytest.fixture
def paper() -> PaperTransport:
    return PaperTransport()


def test_healthy_device_is_accepted(paper):
    device = run(Device.probe(paper))
    found = device.capabilities
    assert (found.ims_vectors, found.msix_vectors) == (CONFIG.ims_vectors, CONFIG.msix_vectors)
    assert (found.queues, found.queue_slots) == (CONFIG.queues, CONFIG.queue_slots)
    assert found.ims_offset == paper.space.table("ims").offset
    assert found.window == CONFIG.message_window
    assert paper.config[4] & 6 == 6, "memory space and bus master"
    assert paper.config[MSIX + 3] & 0x80 and paper.config[PASID + 6] & 1


def test_chains_are_walked_in_order(paper):
    assert [item.offset for item in run(standard_chain(paper))] == [PM, PCIE, MSIX]
    extended = [AER, SERIAL, SIOV, PASID, DEVICE3, TOCSIN]
    assert [item.offset for item in run(extended_chain(paper))] == extended


def test_silent_device_is_refused(paper):
    paper.answers = False
    paper.config[4:6] = b"\xff\xff"
    with pytest.raises(ProbeError, match="the device does not answer: its vendor ID reads as 0xf"):
        run(Device.probe(paper))
    assert paper.requests == 1, "a device that does not answer is left alone"


def test_zero_vendor_is_refused(paper):
    paper.put_config(0, 0)
    assert "does not answer" in refusal(paper)


def test_device_without_capability_list_is_refused(paper):
    paper.put_config(6, 0, 2)
    assert refusal(paper) == "the function has no capability list"


def test_looping_capability_list_is_refused(paper):
    paper.put_config(MSIX + 1, PM, 1)
    assert refusal(paper) == f"the capability list loops back to {PM:#x}"


def test_capability_that_names_itself_is_refused(paper):
    paper.put_config(PM + 1, PM, 1)
    assert refusal(paper) == f"the capability list loops back to {PM:#x}"


def test_capability_list_into_the_header_is_refused(paper):
    paper.put_config(MSIX + 1, 0x3C, 1)
    assert refusal(paper) == "the capability list leads to 0x3c, inside the header"


@pytest.mark.parametrize("nothing", [0, 0xFFFF])
def test_truncated_capability_list_is_refused(paper, nothing):
    paper.put_config(MSIX + 1, 0xF0, 1)
    paper.put_config(0xF0, nothing, 2)
    assert refusal(paper) == "the capability list is cut off at 0xf0: nothing is there"


def link(paper: PaperTransport, offset: int, following: int) -> None:
    """Change where an extended capability leads."""
    paper.put_config(offset + 2, paper.config[offset + 2] & 0xF | following << 4, 2)


def test_looping_extended_list_is_refused(paper):
    link(paper, TOCSIN, SIOV)
    assert refusal(paper) == f"the extended capability list loops back to {SIOV:#x}"


def test_extended_list_into_standard_space_is_refused(paper):
    link(paper, TOCSIN, 0x40)
    assert refusal(paper) == "the extended capability list leads to 0x40, before its start"


@pytest.mark.parametrize("nothing", [0, 0xFFFF_FFFF])
def test_truncated_extended_list_is_refused(paper, nothing):
    link(paper, SIOV, 0xF00)
    paper.put_config(0xF00, nothing)
    assert refusal(paper) == "the extended capability list is cut off at 0xf00: nothing is there"


def test_device_without_extended_capabilities_is_refused(paper):
    paper.put_config(AER, 0)
    assert refusal(paper) == "the function has no PASID capability"


@pytest.mark.parametrize("length", [0, 4, 0xFFF])
def test_impossible_dvsec_length_is_refused(paper, length):
    paper.put_config(SIOV + 6, length << 4 | 1, 2)
    assert f"impossible length of {length}" in refusal(paper)


def test_short_siov_capability_is_refused(paper):
    paper.put_config(SIOV + 6, 0x10 << 4 | 1, 2)
    assert "Scalable I/O Virtualization capability at 0x160 has 16 bytes" in refusal(paper)


def test_device_without_msix_is_refused(paper):
    paper.put_config(PCIE + 1, 0, 1)
    assert refusal(paper) == "the function has no MSI-X capability"


def test_device_without_pasid_is_refused(paper):
    link(paper, SIOV, DEVICE3)
    assert refusal(paper) == "the function has no PASID capability"


def test_impossible_pasid_width_is_refused(paper):
    paper.put_config(PASID + 5, 21, 1)
    assert refusal(paper) == "the PASID width reads as 21 bits; 1 to 20 are possible"


def test_device_without_siov_is_refused(paper):
    paper.put_config(SIOV + 8, 6, 2)
    assert refusal(paper) == "the function has no Scalable I/O Virtualization capability"


def test_device_without_our_page_is_refused(paper):
    paper.put_config(TOCSIN + 4, 0x1234, 2)
    assert refusal(paper) == "the function has no Tocsin capability"


def test_siov_without_message_storage_is_refused(paper):
    paper.put_config(SIOV + 0x14, 0)
    assert "no interrupt message storage, says its Scalable" in refusal(paper)


def test_gencap_without_message_storage_is_refused(paper):
    paper.set("gencap", ims_size=0)
    assert refusal(paper) == "the device has no interrupt message storage, says GENCAP"


@pytest.mark.parametrize("major", [0, 1, 3])
def test_unknown_version_is_refused(paper, major):
    paper.set("version", major=major)
    assert f"speaks version {major}.0" in refusal(paper)


def test_memory_that_does_not_answer_is_refused(paper):
    paper.memory_answers = False
    assert "does not answer memory reads" in refusal(paper)


def test_halted_device_is_refused(paper):
    paper.set("gensts", state=3)
    assert "has halted" in refusal(paper)


def test_small_bar0_is_refused(paper):
    paper.bars[0] = 0x8000
    assert refusal(paper) == "BAR0 has 0x8000 bytes; the registers need 0x10000"


def test_missing_bar2_is_refused(paper):
    paper.bars[2] = 0
    assert "the portals of 2 queues need 0x8000" in refusal(paper)


@pytest.mark.parametrize("table", ["ims", "wqcfg", "grpcfg", "msixperm"])
def test_table_outside_bar0_is_refused(paper, table):
    paper.set("offsets", **{table: 0xFFFF})
    assert "outside BAR0" in refusal(paper)


def test_msix_table_outside_bar0_is_refused(paper):
    paper.put_config(MSIX + 4, 0x10_0000)
    assert "the MSI-X table at 0x100000 ends at" in refusal(paper)


@pytest.mark.parametrize("offset", [4, 8])
def test_msix_table_in_another_bar_is_refused(paper, offset):
    paper.put_config(MSIX + offset, paper.config[MSIX + offset] | 2, 1)
    assert "are in BAR2" in refusal(paper)


def test_overlapping_tables_are_refused(paper):
    paper.set("offsets", wqcfg=paper.space.table("grpcfg").offset // TABLE_UNIT)
    assert "overlaps" in refusal(paper)


def test_tables_on_registers_are_refused(paper):
    paper.set("offsets", ims=0)
    assert "overlaps" in refusal(paper)


def test_page_of_unknown_type_is_refused(paper):
    paper.set("ext_id", type=0x1234)
    assert "is of type 0x1234, version 1" in refusal(paper)


def test_page_of_unknown_version_is_refused(paper):
    paper.set("ext_id", version=2)
    assert "is of type 0x7c05, version 2" in refusal(paper)


def test_page_in_another_bar_is_refused(paper):
    paper.put_config(TOCSIN + 0x0C, 2, 1)
    assert refusal(paper) == "the Tocsin page is in BAR2; it must be in BAR0"


def test_page_outside_bar0_is_refused(paper):
    paper.put_config(TOCSIN + 0x0C, 0xFFFF_F000)
    assert refusal(paper) == "the Tocsin page at 0xfffff000 lies outside BAR0"


def test_contradicting_ims_sizes_are_refused(paper):
    paper.set("ext_ims", vectors=512)
    assert "GENCAP says 256 entries" in refusal(paper)


def test_contradicting_msix_sizes_are_refused(paper):
    paper.set("ext_msix", vectors=9)
    assert "its MSI-X capability says 8 vectors, the Tocsin page 9" in refusal(paper)


def test_fixed_configuration_is_refused(paper):
    paper.set("gencap", configurable=0)
    assert "cannot be configured" in refusal(paper)


@pytest.mark.parametrize(
    ("register", "field"),
    [("wqcap", "queues"), ("wqcap", "total_size"), ("grpcap", "groups"), ("engcap", "engines")],
)
def test_nothing_to_work_with_is_refused(paper, register, field):
    paper.set(register, **{field: 0})
    assert "each must be 1 or more" in refusal(paper)


def test_opcode_mask_without_a_place_is_refused(paper):
    paper.set("wqcap", config_size_log2=0)
    assert "take an opcode mask, but not where" in refusal(paper)


def test_missing_command_is_refused(paper):
    paper.set("cmdcap", commands=0b11_1110)
    assert "no ENABLE_QUEUE command" in refusal(paper)


def test_reset_that_never_ends_is_refused(paper):
    offset = paper.space.register("cmdstatus").offset
    paper.freeze(offset, (1 << 31).to_bytes(4, "little"))
    sentence = refusal(paper)
    assert sentence.startswith("the device cannot be set up: command 5 ")
    assert sentence.endswith("did not complete in time")


def test_reset_that_fails_is_refused(paper):
    offset = paper.space.register("cmdstatus").offset
    paper.freeze(offset, (3).to_bytes(4, "little"))
    assert "command RESET_DEVICE with operand 0x0 failed: HARDWARE (0x03)" in refusal(paper)


def test_device_that_falls_silent_is_refused(paper):
    """All ones in CMDSTATUS say both 'active' and every error; neither is believed."""
    offset = paper.space.register("cmdstatus").offset
    paper.freeze(offset, b"\xff" * 4)
    assert "the device does not answer memory reads" in refusal(paper)
