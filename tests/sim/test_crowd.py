"""A crowd on the functional model is clean, and notices what it is there for."""

from dataclasses import replace

import pytest

from hw.regs import ConfigError
from sim.crowd.model_side import on_model
from sim.crowd.result import Plan

SMALL = Plan(adis=60, guests=3, operations=150, guest_operations=40, guest_moves=2, workers=16)
"""Quick, for what goes wrong."""


def play(plan=SMALL, shuffle=False):
    print("seed", plan.seed)
    return on_model(plan, lambda *_: None, shuffle=shuffle)


@pytest.mark.parametrize("seed", range(1, 9))
def test_small_crowd_is_clean_whatever_the_seed(seed):
    result = play(replace(SMALL, seed=seed), shuffle=seed % 2 == 0)
    assert result.good, result
    assert result.resubmitted or result.moves == 6


def test_same_seed_gives_the_same_work():
    assert play() == play()


@pytest.mark.parametrize("after", [20, 130, 260])
def test_lost_bell_is_noticed(spoiled, after):
    spoiled("message", after, lambda send, address, data: None)
    result = play()
    assert result.lost == 1 and not result.good


@pytest.mark.parametrize("after", [20, 130])
def test_doubled_bell_is_noticed(spoiled, after):
    def twice(send, address, data):
        send(address, data)
        send(address, data)

    spoiled("message", after, twice)
    result = play()
    assert result.doubled == 1 and not result.good


def test_misdirected_bell_is_noticed(spoiled):
    spoiled("message", 130, lambda send, address, data: send(address, data ^ 1))
    assert play().misdirected == 1


def test_wrong_byte_is_noticed(spoiled):
    def flip(write, address, data, pasid):
        write(address, bytes([data[0] ^ 1]) + data[1:], pasid)

    spoiled("dma_write", 131, flip)
    assert not play().good


def test_plan_that_no_device_has_room_for_is_refused():
    with pytest.raises(ConfigError, match="1 to 15904 ADIs beside 16 guests, not 15905"):
        Plan(adis=15_905)
