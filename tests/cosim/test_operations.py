"""The same operations on model and RTL, drawn by Hypothesis: sizes, places, overlaps, flags."""

import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hw.regs.descriptor import LAYOUTS, Flag, Opcode
from sim.bench import run
from sim.model.transport import ModelTransport
from sim.model.transport import run as run_on_model
from sim.workload.listed import ADDRESSES, AREA_BYTES, execute_listed

from .models import CONFIG, device

EXAMPLES = 2000
COMMON = {item.name for item in LAYOUTS[Opcode.NOP].fields}
FLAGS = (Flag.FENCE, Flag.CHECK_RESULT, Flag.STRICT_ORDERING, Flag.READ_SEED, Flag.CACHE_CONTROL)
BYPASSES = (Flag.BYPASS_INVERSION, Flag.BYPASS_REFLECTION)

places = st.one_of(
    st.integers(0, AREA_BYTES - 1),
    st.integers(0, AREA_BYTES // 8 - 1).map(lambda word: 8 * word),
    st.sampled_from((0, 4088, 4096, 8192, 12_288)),
)
sizes = st.one_of(
    st.integers(0, 80), st.integers(1, 250).map(lambda n: 8 * n), st.integers(1, 4000)
)
deltas = st.one_of(st.integers(8, 40).map(lambda n: 10 * n), st.integers(0, 200))


@st.composite
def descriptors(draw):
    opcode = draw(st.sampled_from([item for item in Opcode if item is not Opcode.BATCH]))
    values = {}
    for item in LAYOUTS[opcode].fields:
        if item.name in COMMON:
            continue
        if item.name in ADDRESSES:
            values[item.name] = draw(places)
        elif item.name == "size_bytes":
            values[item.name] = draw(sizes)
        elif "delta_bytes" in item.name:
            values[item.name] = draw(deltas)
        else:
            values[item.name] = draw(st.integers(0, (1 << item.width) - 1))
    flags = draw(st.sets(st.sampled_from(FLAGS), max_size=1))
    if opcode in (Opcode.CRC, Opcode.COPY_CRC):
        flags |= draw(st.sets(st.sampled_from(BYPASSES)))
        values["seed" if Flag.READ_SEED in flags else "seed_address"] = 0
    return {"opcode": int(opcode), "flags": sum(map(int, flags)), "values": values}


@pytest.fixture(scope="module")
def listed():
    """What Hypothesis thinks of, all at once, since one simulation runs them all."""
    found = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(descriptors())
    def collect(descriptor):
        found.append(descriptor)

    collect()
    return found


@pytest.fixture(scope="module")
def expected(listed):
    return run_on_model(execute_listed(ModelTransport(CONFIG, seed=1, shuffle=True), listed))


@pytest.fixture(scope="module")
def found(listed, tmp_path_factory):
    path = tmp_path_factory.mktemp("listed") / "descriptors"
    path.write_text(json.dumps(listed))
    return run(
        device(),
        "tests.cosim.bench_programs",
        parameters={"path": str(path)},
        seed=1,
        testcase="listed",
        timeout=600,
    )


@pytest.mark.timeout(900)
def test_records_and_memory_agree(listed, expected, found):
    for descriptor, wanted, got in zip(listed, expected, found["outcomes"], strict=True):
        assert got == wanted, descriptor
    assert found["errors"] == []


def test_examples_succeed_and_fail_in_many_ways(expected):
    statuses = [outcome[0] for outcome in expected]
    assert statuses.count(1) > EXAMPLES // 8
    assert {0x01, 0x02, 0x11, 0x12, 0x13, 0x16, 0x1C} <= set(statuses)
