"""Vectors of all processors."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driver.irq import IrqError, IrqMatrix
from driver.irq.failslab import Failslab

FIRST, LAST = 32, 40


@pytest.fixture
def matrix():
    made = IrqMatrix(4, FIRST, LAST, Failslab())
    made.assign_system(34)
    for cpu in range(3):
        made.online(cpu)
    return made


def mask(*cpus):
    return frozenset(cpus)


def test_system_vector_is_never_handed_out(matrix):
    got = {matrix.alloc(mask(0))[1] for _ in range(7)}
    assert got == set(range(FIRST, LAST)) - {34}


def test_exhausted_processor_gives_enospc(matrix):
    for _ in range(7):
        matrix.alloc(mask(0))
    with pytest.raises(IrqError, match="all 7 vectors of the processor are in use") as caught:
        matrix.alloc(mask(0))
    assert caught.value.errno == errno.ENOSPC
    assert matrix.alloc(mask(0, 1))[0] == 1


def test_processor_with_most_left_is_chosen(matrix):
    assert [matrix.alloc(mask(0, 1, 2))[0] for _ in range(6)] == [0, 1, 2] * 2


def test_offline_processor_gets_no_vector(matrix):
    with pytest.raises(IrqError, match="no processor of") as caught:
        matrix.alloc(mask(3))
    assert caught.value.errno == errno.ENOSPC
    assert matrix.alloc(mask(2, 3))[0] == 2


def test_empty_mask_gives_einval(matrix):
    for call in (matrix.alloc, matrix.alloc_managed):
        with pytest.raises(IrqError) as caught:
            call(mask())
        assert caught.value.errno == errno.EINVAL


def test_managed_vector_is_set_aside_on_each_processor_of_its_mask(matrix):
    matrix.reserve_managed(mask(1, 3))
    assert [each.managed for each in matrix.maps] == [0, 1, 0, 1]
    assert [each.available for each in matrix.maps] == [7, 6, 7, 6]
    cpu, vector = matrix.alloc_managed(mask(1, 3))
    assert cpu == 1, "the other is offline"
    matrix.free(cpu, vector, managed=True)
    assert matrix.maps[1].managed_allocated == 0 and matrix.maps[1].available == 6
    matrix.remove_managed(mask(1, 3))
    assert matrix.global_available == 21


def test_managed_vector_is_not_there_for_others(matrix):
    matrix.reserve_managed(mask(0))
    for _ in range(6):
        matrix.alloc(mask(0))
    with pytest.raises(IrqError):
        matrix.alloc(mask(0))
    assert matrix.alloc_managed(mask(0))[0] == 0


def test_more_managed_vectors_than_set_aside_give_enospc(matrix):
    matrix.reserve_managed(mask(0, 1))
    assert {matrix.alloc_managed(mask(0, 1))[0] for _ in range(2)} == {0, 1}
    with pytest.raises(IrqError, match="no managed vector is left") as caught:
        matrix.alloc_managed(mask(0, 1))
    assert caught.value.errno == errno.ENOSPC


def test_managed_reservation_that_fails_on_one_processor_leaves_none(matrix):
    for _ in range(7):
        matrix.alloc(mask(2))
    before = [each.__dict__.copy() for each in matrix.maps]
    with pytest.raises(IrqError) as caught:
        matrix.reserve_managed(mask(0, 1, 2))
    assert caught.value.errno == errno.ENOSPC
    assert [each.__dict__ for each in matrix.maps] == before


def test_promise_becomes_a_vector(matrix):
    matrix.reserve()
    matrix.reserve()
    matrix.alloc(mask(0), reserved=True)
    matrix.remove_reserved()
    assert matrix.global_reserved == 0


def test_vector_is_freed_once(matrix):
    cpu, vector = matrix.alloc(mask(0))
    matrix.free(cpu, vector, managed=False)
    with pytest.raises(ValueError, match=f"vector {vector} of processor 0 is not allocated"):
        matrix.free(cpu, vector, managed=False)


def test_vector_freed_while_its_processor_is_offline_is_there_when_it_is_back(matrix):
    cpu, vector = matrix.alloc(mask(0))
    matrix.offline(0)
    assert matrix.global_available == 14
    matrix.free(cpu, vector, managed=False)
    assert matrix.global_available == 14 and matrix.total_allocated == 0
    matrix.online(0)
    assert matrix.global_available == 21


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 15)), max_size=80))
def test_books_balance_whatever_is_done(turns):
    matrix = IrqMatrix(3, FIRST, LAST, Failslab())
    for cpu in range(3):
        matrix.online(cpu)
    out, managed = [], []
    for what, number in turns:
        cpus = frozenset(cpu for cpu in range(3) if number >> cpu & 1)
        try:
            if what == 0:
                out.append((*matrix.alloc(cpus), False))
            elif what == 1 and cpus:
                matrix.reserve_managed(cpus)
                managed.append(cpus)
            elif what == 2:
                out.append((*matrix.alloc_managed(cpus), True))
            elif what == 3 and out:
                cpu, vector, kind = out.pop(number % len(out))
                matrix.free(cpu, vector, managed=kind)
            elif what == 4 and managed and not any(kind for *_, kind in out):
                matrix.remove_managed(managed.pop())
            elif what == 5 and matrix.maps[number % 3].online:
                matrix.offline(number % 3)
                matrix.online(number % 3)
        except IrqError as error:
            assert error.errno in (errno.ENOSPC, errno.EINVAL)
        assert len({(cpu, vector) for cpu, vector, _ in out}) == len(out)
        assert matrix.total_allocated == len(out)
        for cpu, each in enumerate(matrix.maps):
            mine = [kind for place, _, kind in out if place == cpu]
            assert each.allocated == len(mine) and each.managed_allocated == sum(mine)
            assert each.managed == sum(cpu in cpus for cpus in managed)
            assert each.available == 8 - each.managed - mine.count(False)
        assert matrix.global_available == sum(each.available for each in matrix.maps)
