"""Inside the simulator: a store in host memory is set going, brought to rest, and asked."""

from typing import Any

from sim.bench.cocotb_side import bench, cycles, parameters, seed

from .host_store_top import HostStoreTop

STEP = 10_000
REST = 3_000_000


@bench(limit_cycles=100_000_000)
async def soak(dut: Any) -> dict[str, Any]:
    """What was counted, after as many clocks as the parameter says."""
    dut.seed.value = (seed() + 1) * 0x9E37_79B9_7F4A_7C15 % (1 << 64)
    await cycles(2)
    dut.go.value = 1
    for _ in range(0, parameters()["clocks"], STEP):
        await cycles(STEP)
        assert not int(dut.faults.value), f"faults {int(dut.faults.value):#x}"
    dut.go.value = 0
    dut.finish.value = 1
    waited = 0
    while not int(dut.done.value):
        await cycles(STEP)
        waited += STEP
        assert waited < REST, "the store does not come to rest"
    names = ("faults", "owed", "rung", *HostStoreTop.COUNTS)
    return {name: int(getattr(dut, name).value) for name in names}
