"""Soak runs notice what goes wrong, and play the same round again."""

import pytest

from sim.soak import model_side
from sim.soak.result import Round, Total
from sim.workload.trials import crc32c

CALM = 5
"""A round that nothing disturbs."""


def play(number, seed=1):
    return model_side.on_model(seed, number, lambda done, whole, text: None)


@pytest.mark.parametrize("number", range(40))
def test_round_on_the_model_is_clean(number):
    found = play(number)
    assert found.errors == []
    assert sum(found.kinds.values()) > 0


def test_wrong_byte_is_noticed(spoiled):
    def damage(write, address, data, pasid):
        write(address, bytes([data[0] ^ 1]) + data[1:], pasid)

    spoiled("dma_write", 60, damage)
    assert play(CALM).errors


def test_doubled_bell_is_noticed(spoiled):
    def twice(send, address, data):
        send(address, data)
        send(address, data)

    spoiled("message", 60, twice)
    assert any("bells" in error for error in play(CALM).errors)


def test_write_to_another_pasid_is_noticed(spoiled):
    spoiled("dma_write", 60, lambda write, address, data, pasid: write(address, data, pasid + 1))
    assert play(CALM).errors


def test_the_same_round_happens_again():
    assert play(3) == play(3)


def test_calm_round_is_calm():
    assert play(CALM).disturbance == "nothing"


def test_rounds_differ():
    assert play(3).kinds != play(4).kinds


def test_total_stops_at_the_round_that_went_wrong():
    total = Total(7)
    total.add(0, Round("nothing", {"nop": 3}))
    total.add(1, Round("nothing", {"nop": 2}, faults=1, errors=["a byte is wrong"]))
    assert total.failed == 1
    assert total.last_line == "soak: seed=7 rounds=2 operations=5 faults=1 refused=0 failed=1"


def test_crc_of_the_well_known_check_string():
    assert crc32c(b"123456789") == 0xE306_9283
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE306_9283
