"""The same random programs on the functional model and on the RTL: every record, every byte.

``TOCSIN_PROGRAM=200`` runs so many descriptors of each tenant, ``TOCSIN_SEED=7`` another program.
"""

import os
from dataclasses import asdict

import pytest

from sim.bench import run
from sim.model.transport import ModelTransport
from sim.model.transport import run as run_on_model
from sim.workload.programs import Program, execute

from .models import CONFIG, device

PROGRAM = Program(
    seed=int(os.environ.get("TOCSIN_SEED", "1")),
    tenants=32,
    descriptors=int(os.environ.get("TOCSIN_PROGRAM", "100")),
)


@pytest.fixture(scope="module")
def expected():
    async def play():
        transport = ModelTransport(CONFIG, seed=PROGRAM.seed, shuffle=True)
        outcomes = await execute(transport, PROGRAM)
        assert transport.platform.check() == []
        return outcomes

    return run_on_model(play())


@pytest.fixture(scope="module")
def found():
    print(f"seed {PROGRAM.seed}")
    return run(
        device(),
        "tests.cosim.bench_programs",
        parameters=asdict(PROGRAM),
        seed=PROGRAM.seed,
        testcase="program",
        timeout=900,
    )


@pytest.mark.timeout(1200)
def test_every_record_and_every_byte_agree(expected, found):
    for tenant, (wanted, got) in enumerate(zip(expected, found["outcomes"], strict=True)):
        for step, (model, rtl) in enumerate(zip(wanted, got, strict=True)):
            assert rtl == model, f"tenant {tenant}, descriptor {step}"


def test_program_has_good_and_bad_descriptors_of_every_sort(expected):
    statuses = {outcome[0] for tenant in expected for outcome in tenant}
    assert {0x01, 0x02, 0x10, 0x11, 0x12, 0x13, 0x15, 0x16, 0x1C, 0x20} <= statuses


def test_no_rule_is_broken(found):
    assert found["errors"] == []


def test_outcomes_do_not_depend_on_who_is_first(expected):
    async def play():
        transport = ModelTransport(CONFIG, seed=PROGRAM.seed + 1, shuffle=True)
        return await execute(transport, PROGRAM)

    assert run_on_model(play()) == expected
