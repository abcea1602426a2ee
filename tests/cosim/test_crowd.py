"""A crowd on the RTL: 16 guests and 2500 ADIs of the host at once, while their vectors churn."""

import pytest

from sim.crowd.result import Plan
from sim.crowd.rtl_side import build_device, on_rtl

PLAN = Plan(operations=1500, guest_operations=30, guest_moves=2)


@pytest.mark.timeout(1800)
def test_sixteen_guests_and_2500_adis_churn_and_every_bell_is_counted_once():
    print("seed", PLAN.seed)
    result = on_rtl(build_device(PLAN), PLAN, timeout=900)
    assert result.errors == []
    assert (result.lost, result.doubled, result.misdirected, result.corrupted) == (0, 0, 0, 0)
    assert result.leaked == {}
    assert (result.adis, result.guests, result.vectors) == (2500, 16, 2500 + 16 * 3)
    assert result.bells == result.operations == PLAN.all_operations
    assert result.moves == 16 * PLAN.guest_moves
    assert min(result.actions.values()) > 20
