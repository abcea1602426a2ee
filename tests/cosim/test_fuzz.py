"""Random TLPs, legal and not; ``TOCSIN_FUZZ=100000`` sends more, ``TOCSIN_SEED=7`` the same."""

import os

import pytest

from hw.regs.capabilities import VERSION_MAJOR, VERSION_MINOR
from sim.bench import run

from .models import CONFIG, device

COUNT = int(os.environ.get("TOCSIN_FUZZ", "10000"))
SEED = int(os.environ["TOCSIN_SEED"]) if "TOCSIN_SEED" in os.environ else None


@pytest.fixture(scope="module")
def outcome():
    return run(device(), "tests.cosim.bench_fuzz", parameters={"count": COUNT}, seed=SEED)


@pytest.mark.timeout(1800)
def test_device_answers_as_before(outcome):
    assert outcome["identity"] == CONFIG.device_id << 16 | CONFIG.vendor_id
    assert bytes.fromhex(outcome["version"])[:2] == bytes([VERSION_MINOR, VERSION_MAJOR])


def test_memory_is_untouched(outcome):
    assert all(outcome["untouched"])


def test_device_breaks_no_rule_while_it_is_abused(outcome):
    assert outcome["errors"] == []


def test_abuse_was_of_every_sort(outcome):
    assert outcome["malformed"] > COUNT // 20
    assert outcome["answers"] > COUNT // 10
