"""Random damage to configuration space and registers: probe accepts or refuses, nothing else."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from driver import Device, ProbeError, Timeouts
from hw.regs.bar0 import EXTENSION_PAGE
from hw.regs.configspace import MSIX, PASID, SIOV, TOCSIN

from .paper import PaperTransport, run

MOST_REQUESTS = 3 * 2048 + 3000
"""Two for each entry of the largest MSI-X table, both chains, and the registers."""

TIMEOUTS = Timeouts(command=5000, reset=5000)

config_bytes = st.tuples(st.just("config"), st.integers(0, 0x1B3), st.integers(0, 255))
register_bytes = st.tuples(
    st.just("memory"),
    st.one_of(st.integers(0, 0xFF), st.integers(EXTENSION_PAGE, EXTENSION_PAGE + 0x27)),
    st.integers(0, 255),
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.one_of(config_bytes, register_bytes), min_size=1, max_size=6))
@example([("config", SIOV + 3, 0x16)])
@example([("config", TOCSIN + 3, 0x1A)])
@example([("config", MSIX + 1, MSIX)])
@example([("config", PASID + 3, 0xFF), ("config", PASID + 2, 0xF1)])
def test_damaged_device_is_accepted_or_refused(damage):
    paper = PaperTransport()
    for where, offset, value in damage:
        getattr(paper, where)[offset] = value
    try:
        run(Device.probe(paper, TIMEOUTS))
    except ProbeError as error:
        assert "\n" not in str(error)
        assert not any(paper.interrupts().values()), "an interrupt was leaked"
    assert paper.requests < MOST_REQUESTS
