"""The demonstration, on the functional model; and that its judge notices what it is there for."""

from itertools import pairwise

import pytest

from hw.regs import ConfigError
from sim.demo.model_side import on_model
from sim.demo.report import page, rows
from sim.demo.result import Plan, Result, percentile
from sim.model.platform import PlatformHost

PLAN = Plan(adis=48, operations_per_adi=3, largest_bytes=600, churn=6, workers=12, seed=5)


def play():
    return on_model(PLAN, lambda *_: None)


def test_every_tenant_works_and_nothing_is_wrong():
    result = play()
    assert result.errors == []
    assert result.good
    assert (result.adis, result.vectors, result.replaced) == (48, 48, 8)
    assert len(result.latencies) == len(result.bells) == 48 * 3 + 8
    assert result.operations == result.interrupts > 48 * 3 + 8 + PLAN.shared_operations - 1
    assert {number for _, number in result.bells} == set(range(48 + 8))


def test_tenants_share_an_engine_as_their_priorities_say():
    result = play()
    assert [sharer.priority for sharer in result.sharers] == [9, 6, 3]
    for sharer in result.sharers:
        assert sharer.turns == pytest.approx(sharer.promised, rel=0.15)
    assert sum(sharer.time for sharer in result.sharers) == pytest.approx(1)
    assert all(start <= end for start, end, _ in result.turns)


def test_storage_fills_up_one_vector_at_a_time():
    counts = [0, *(count for _, count in play().occupancy)]
    assert max(counts) == 48
    assert all(abs(now - before) == 1 for before, now in pairwise(counts))


def test_same_seed_gives_the_same_work():
    assert play() == play()


def test_lost_bell_is_noticed(spoiled):
    spoiled("message", 40, lambda send, address, data: None)
    result = play()
    assert result.lost == 1 and not result.good


def test_doubled_bell_is_noticed(spoiled):
    def twice(send, address, data):
        send(address, data)
        send(address, data)

    spoiled("message", 40, twice)
    result = play()
    assert result.doubled == 1 and not result.good


def test_misdirected_bell_is_noticed(spoiled):
    spoiled("message", 40, lambda send, address, data: send(address ^ 4, data))
    result = play()
    assert result.misdirected == 1 and not result.good


def test_message_with_the_data_of_another_is_noticed(spoiled):
    spoiled("message", 40, lambda send, address, data: send(address, data ^ 1))
    assert play().misdirected == 1


def test_wrong_byte_is_noticed(spoiled):
    def flip(write, address, data, pasid):
        write(address, bytes([data[0] ^ 1]) + data[1:], pasid)

    spoiled("dma_write", 41, flip)
    result = play()
    assert not result.good
    assert result.corrupted or result.errors


def test_write_for_another_pasid_is_noticed(spoiled):
    spoiled("dma_write", 41, lambda write, address, data, pasid: write(address, data, pasid ^ 1))
    result = play()
    assert result.refused and not result.good


def test_bell_before_its_record_is_noticed(monkeypatch):
    """Order is what drivers rely on: the record comes first, the bell after it."""
    held = []
    original_write, original_message = PlatformHost.dma_write, PlatformHost.message

    def write(self, address, data, pasid):
        if len(data) == 32 and address % 32 == 0 and not held:
            held.append((address, data, pasid))
        else:
            original_write(self, address, data, pasid)

    def message(self, address, data):
        original_message(self, address, data)
        if held and held[0]:
            original_write(self, *held[0])
            held[0] = None

    monkeypatch.setattr(PlatformHost, "dma_write", write)
    monkeypatch.setattr(PlatformHost, "message", message)
    result = play()
    assert result.doubled and result.lost and not result.good


@pytest.mark.parametrize("adis", [0, -1, 16_129])
def test_plan_that_no_device_has_room_for_is_refused(adis):
    with pytest.raises(ConfigError, match=f"a device has 1 to 16128 vectors, not {adis}"):
        Plan(adis=adis)


def test_plan_without_work_is_refused():
    with pytest.raises(ConfigError, match="1 operation or more, not 0"):
        Plan(operations_per_adi=0)


def test_storage_grows_with_the_plan():
    assert Plan(adis=2500).config.ims_vectors == 4096
    assert Plan(adis=4097).config.ims_vectors == 4352
    assert Plan(adis=16_128).config.ims_vectors == 16_128


def test_percentile_is_a_value_that_occurred():
    values = list(range(1, 101))
    assert [percentile(values, p) for p in (50, 99, 100)] == [50, 99, 100]
    assert percentile([7], 50) == 7
    assert percentile([], 99) == 0


def test_bad_figures_are_marked():
    marked = {name for name, _, bad in rows(Result(lost=1, corrupted=2), "clocks") if bad}
    assert marked == {"Bells lost", "Operations with wrong bytes"}


def test_page_says_what_is_wrong_and_escapes_it():
    text = page(Result(errors=["<b> is missing"]), Plan(), "clocks", "RTL")
    assert "&lt;b&gt; is missing" in text
    assert text.count("<!DOCTYPE html>") == 1
