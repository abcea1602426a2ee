"""A crowd on the functional model: more guests, more operations than on the RTL."""

import pytest

from sim.crowd.model_side import on_model
from sim.crowd.result import Plan


@pytest.mark.parametrize("shuffle", [False, True], ids=["in_order", "shuffled"])
def test_many_guests_and_adis_churn_and_every_bell_is_counted_once(shuffle):
    plan = Plan(guests=24, adis=2500, operations=3000, guest_operations=100, seed=3)
    print("seed", plan.seed)
    result = on_model(plan, lambda *_: None, shuffle=shuffle)
    assert result.good, result
    assert (result.adis, result.guests) == (2500, 24)
    assert result.bells == result.operations == plan.all_operations
    assert result.moves == 24 * plan.guest_moves
