"""The tether as data: fields have their places, and an identity comes back as it was."""

import zlib
from dataclasses import replace

import pytest

from hw.regs.tether import (
    CRC_RESIDUE,
    STATUS_FIELDS,
    WELCOME_FIELDS,
    Identity,
    words_of,
)
from hw.tlp.records import CreditLimit

IDENTITY = Identity(
    version=(0xABCD, 0x12, 0x34),
    parameters=0x89ABCDEF,
    clock_hz=100_000_000,
    baud=3_000_000,
    board="sixteen-letters!",
)


def test_fields_fill_whole_dws_without_gaps():
    for fields, dws in ((STATUS_FIELDS, 4), (WELCOME_FIELDS, 8)):
        assert words_of(fields) == dws
        assert sum(item.put((1 << item.width) - 1) for item in fields) == (1 << 32 * dws) - 1


def test_identity_comes_back_from_its_words():
    for identity in (IDENTITY, replace(IDENTITY, board="")):
        assert Identity.from_words(identity.words()) == identity
    assert IDENTITY.words() & 0xFFFF_FFFF == 0xABCD_1234


def test_letters_that_are_not_ascii_become_question_marks():
    spoiled = IDENTITY.words() | 0x80 << 128
    assert Identity.from_words(spoiled).board == "?ixteen-letters!"


def test_residue_is_that_of_any_frame_with_its_crc():
    for content in (b"", b"tether"):
        assert zlib.crc32(content + zlib.crc32(content).to_bytes(4, "little")) == CRC_RESIDUE


def test_credits_of_a_status_lie_as_the_gateware_has_them():
    limit = CreditLimit.const({"header": 1, "data": 2, "header_infinite": 1})
    assert limit.as_value().value == 1 | 2 << 8 | 1 << 20


@pytest.mark.parametrize("board", ["seventeen-letters", "grün"])
def test_name_that_does_not_fit_is_refused(board):
    with pytest.raises(ValueError, match="at most 16 letters of ASCII, not"):
        replace(IDENTITY, board=board)


def test_value_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="minor has 8 bits; 0x100 does not fit"):
        replace(IDENTITY, version=(1, 256, 0)).words()
