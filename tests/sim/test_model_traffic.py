"""Random TLPs: there is some of everything, and the model survives all of it."""

from collections import Counter

import pytest

from hw.regs.commands import DeviceState
from sim.model.tlp import Completion, Kind, Malformed, Request, Status
from sim.model.traffic import Traffic, difference
from sim.model.wire import decode

from .model_bench import BAR0, BAR2, RID, SMALL, Bench, descriptor


def traffic(seed, **options):
    return Traffic(SMALL, seed, bar0_base=BAR0, bar2_base=BAR2, routing_id=RID, **options)


def completions(sent):
    """What the device sent, without its messages."""
    return [tlp for tlp in sent if isinstance(tlp, Completion)]


@pytest.mark.parametrize("seed", range(5))
def test_device_still_works_after_anything(seed):
    print(f"seed {seed}")
    bench = Bench()
    source = traffic(seed)
    for _ in range(3000):
        bench.device.handle_wire(source.next())
    bench.device.settle()
    assert bench.memory.log == []
    assert bench.device.state is DeviceState.DISABLED
    for index in range(SMALL.ims_vectors):
        bench.ims(index, control=1)
    bench.command(5)
    bench.enable(0)
    message = bench.ims(200, pasid=9)
    data = descriptor(pasid=9, handle=200, completion_address=0x40)
    assert bench.submit(0, data, 2) is Status.SUCCESS
    bench.device.settle()
    assert bench.memory.messages == [message]


def test_there_is_some_of_everything():
    kinds, answers, errors = Counter(), Counter(), Counter()
    bench = Bench()
    source = traffic(1)
    for _ in range(6000):
        tlp = decode(source.next())
        kinds[tlp.kind if isinstance(tlp, Request) else type(tlp)] += 1
        for answer in completions(bench.device.handle(tlp)):
            answers[answer.status] += 1
    for name in ("poisoned", "completer_abort", "malformed", "unsupported"):
        errors[name] = bench.device.space.field("aer_uncorrectable", name)
    assert set(kinds) == {*Kind, Completion, Malformed}
    assert min(kinds.values()) > 20
    assert set(answers) == set(Status)
    assert all(errors.values())


@pytest.mark.parametrize("seed", range(3))
def test_same_seed_is_the_same_traffic(seed):
    one, two = traffic(seed), traffic(seed)
    assert [one.next() for _ in range(500)] == [two.next() for _ in range(500)]
    assert [traffic(seed).next()] != [traffic(seed + 100).next()]


def test_good_non_posted_requests_are_answered_once():
    bench = Bench()
    source = traffic(7, damaged=0)
    for _ in range(3000):
        tlp = decode(source.next())
        answers = completions(bench.device.handle(tlp))
        malformed = bench.device.space.field("aer_uncorrectable", "malformed")
        bench.device.space.set_field("aer_uncorrectable", "malformed", 0)
        due = isinstance(tlp, Request) and not tlp.posted and not malformed
        assert len(answers) == due, tlp


def test_difference_names_what_differs():
    request = decode(bytes.fromhex("000000010000000f00000000"))
    one = Completion(status=Status.SUCCESS, length_dw=1, payload=b"abcd")
    two = Completion(status=Status.SUCCESS, length_dw=1, payload=b"abce")
    assert difference(request, one, one) is None
    assert difference(request, None, None) is None
    assert "payload" in difference(request, one, two)
    assert "no answer" in difference(request, one, None)
    assert "unexpected" in difference(request, None, one)
    empty = decode(bytes.fromhex("000000010000000000000000"))
    assert difference(empty, one, two) is None
