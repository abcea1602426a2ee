"""The comparison: what is true of each way, whatever the figures are."""

import asyncio
import json
from collections import Counter

import pytest

from hw.regs import ConfigError
from sim.compare.day import Gauge, compare
from sim.compare.fleet import DAY, Wish, day, fleet
from sim.compare.machine import Machine
from sim.compare.plan import Plan
from sim.compare.report import page, rows
from sim.compare.ways import DynamicMsix, MessageStorage, MsixAtProbe


class SmallTable(Plan):
    """A device with tables that a few ADIs fill."""

    msix_vectors = 64
    ims_vectors = 512


PLAN = SmallTable(adis=40, cpus=4, seed=3)


def play(plan=PLAN):
    return compare(plan, lambda *_: lambda *_: None)


@pytest.fixture(scope="module")
def result():
    return play()


def test_same_seed_gives_the_same_figures_and_another_others(result):
    assert play().to_json() == result.to_json()
    assert fleet(SmallTable(adis=40, cpus=4, seed=4)) != fleet(PLAN)


def test_message_storage_refuses_nobody_where_the_others_refuse(result):
    at_probe, dynamic, ims = result.ways
    assert at_probe.refusals > dynamic.refusals > 0
    assert (ims.refusals, ims.denied, ims.short) == (0, {}, 0)
    assert ims.levels["in_use"].most == result.wanted.most + 1, "the device has one of its own"


def test_refusals_name_the_code_that_linux_returns(result):
    at_probe, dynamic, _ = result.ways
    assert set(at_probe.refused) == {"-ENOSPC, all shares are taken"}
    assert set(dynamic.refused) == set(dynamic.denied) == {"-EBUSY, the device's table is full"}
    assert dynamic.short > 0 and sum(dynamic.denied.values()) >= dynamic.short


def test_every_adi_is_either_admitted_or_refused(result):
    for way in result.ways:
        assert way.admitted + way.refusals == result.adis == len(fleet(PLAN))


def test_msix_holds_its_table_at_most_and_all_of_it_from_probe_on(result):
    at_probe, dynamic, _ = result.ways
    reserved = at_probe.levels["reserved"]
    assert (reserved.most, reserved.mean, set(reserved.samples)) == (64, 64, {64})
    assert at_probe.levels["adis"].most == 63 // PLAN.share
    assert dynamic.levels["reserved"].most == 64
    assert max(dynamic.levels["reserved"].samples) <= 64


def test_vectors_on_demand_are_reserved_only_while_they_are_used(result):
    for way in result.ways[1:]:
        assert way.levels["reserved"] == way.levels["in_use"] == way.levels["taken"]


def test_everything_is_given_back_and_every_bell_has_rung(result):
    for way in result.ways:
        assert (way.leaked, way.lost) == ({}, 0)
        assert way.requests == {"allocate": 3 * (way.vectors + 1), "free": 3 * (way.vectors + 1)}
    assert result.errors == []


def test_share_that_is_too_small_lets_more_in_and_leaves_them_short():
    result = play(SmallTable(adis=40, cpus=4, share=2, seed=3))
    at_probe = result.ways[0]
    assert at_probe.levels["adis"].most == 31
    assert "-ENOSPC, the ADI's share is used up" in at_probe.denied and at_probe.short


def test_processors_are_the_limit_where_there_are_too_few():
    class Long(SmallTable):
        msix_vectors = 1024

    result = play(Long(adis=120, cpus=1, seed=3))
    for way in result.ways:
        assert way.levels["taken"].most == result.capacity == 203
        assert "-ENOSPC, no processor has a vector left" in way.refused
        assert (way.leaked, way.lost) == ({}, 0)


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        (MsixAtProbe, "close"),
        (DynamicMsix, "_free"),
        (MessageStorage, "_free"),
    ],
)
def test_what_is_not_given_back_is_found(monkeypatch, kind, spoil):
    async def nothing(self, *_):
        pass

    monkeypatch.setattr(kind, spoil, nothing)
    monkeypatch.setattr("sim.compare.ways.Way.close", nothing)
    monkeypatch.setattr("sim.compare.day.WAYS", (kind,))
    result = play(SmallTable(adis=5, cpus=1))
    assert result.ways[0].leaked and result.errors
    assert not result.last_line.endswith("leaked=0")


def test_bell_that_is_lost_is_found(monkeypatch):
    monkeypatch.setattr("sim.compare.paper.Paper.ring", lambda *_: None)
    result = play(SmallTable(adis=5, cpus=1))
    assert all(way.lost == 2 * way.vectors for way in result.ways)
    assert "bells were lost" in result.errors[0]


def test_event_of_another_adi_rings_nobody():
    async def ring(pasid):
        machine = await Machine.probe(PLAN)
        for kind in (MessageStorage, DynamicMsix):
            way = kind(machine, PLAN)
            await way.open()
            held = await way.take(7)
            machine.paper.ring(held.table, held.place.index, pasid)
            yield held.bells - 1
            await way.give(held)
            await way.close()
            machine.dev.domains.clear()

    async def both(pasid):
        return [bells async for bells in ring(pasid)]

    assert asyncio.run(both(7)) == [1, 1]
    assert asyncio.run(both(8)) == [0, 0]


def test_fleet_comes_wants_and_leaves_within_the_day():
    plan = Plan(adis=300, seed=9)
    adis = fleet(plan)
    there, most = 0, 0
    for _, wish, _ in day(adis):
        there += (wish is Wish.COME) - (wish is Wish.LEAVE)
        most = max(most, there)
    assert there == 0 and most == pytest.approx(plan.adis, rel=0.1)
    for adi in adis:
        assert 0 <= adi.comes < adi.leaves <= DAY and 1 <= adi.first <= 2
        assert all(adi.comes <= when < adi.leaves for when in adi.more)
    wants = Counter(adi.first + len(adi.more) for adi in adis)
    assert set(wants) == set(range(1, 9)) and wants[1] > wants[8]


def test_gauge_weighs_what_there_is_by_how_long_it_lasts():
    gauge = Gauge()
    gauge.note(0, 4)
    gauge.note(DAY // 4, 8)
    gauge.note(DAY // 4, 10)
    gauge.note(DAY // 2, 0)
    level = gauge.finish()
    assert (level.most, level.mean) == (10, 3.5)
    assert level.samples == [4] * 72 + [10] * 72 + [0] * 144


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"adis": 0}, "adis takes 1 to 16000; 0 is not that"),
        ({"cpus": 257}, "cpus takes 1 to 256; 257 is not that"),
        ({"share": 9}, "share takes 1 to 8; 9 is not that"),
    ],
)
def test_impossible_plan_is_refused(wrong, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Plan(**wrong)


def test_page_shows_all_of_it_and_stands_alone(result):
    text = page(result)
    for name, values in rows(result):
        assert name.replace("'", "&#x27;") in text and len(values) == 3
    assert "where MSI-X ends" in text and "plotly.js v" in text
    json.dumps(result.to_json())
