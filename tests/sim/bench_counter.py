"""A bench that runs inside the simulator, for the tests of the harness."""

import random

from cocotb.triggers import Timer

from sim.bench.cocotb_side import bench, cycles, now, parameters, progress, seed


@bench(limit_cycles=1000)
async def counts(dut):
    beats = parameters()["beats"]
    dut.i__valid.value = 1
    for index in range(beats):
        await cycles(1)
        progress(index + 1, beats, "counting")
    dut.i__valid.value = 0
    await cycles(2)
    return {"count": int(dut.count.value), "seed": seed(), "drawn": random.random(), "now": now()}


@bench(limit_cycles=100)
async def never_ends(dut):
    while True:
        await cycles(10)


@bench()
async def stands_still(dut):
    while True:
        pass


@bench()
async def fails(dut):
    await Timer(1, "ns")
    raise ValueError("the counter is blue")
