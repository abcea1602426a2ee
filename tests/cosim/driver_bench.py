"""Inside the simulator: every case of the driver on the RTL, one cocotb test for each.

All of them are in one simulation; each starts with a reset device and a new host. What became of
each is added to the file that the parameter ``results`` names, one JSON object a line.
"""

import json
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import with_timeout

from driver.irq import boot
from sim.bench.cocotb_side import PERIOD_PS, bench, cycles, now, parameters
from sim.host.rtl_transport import RtlTransport
from tests.driver.cases import CASES, CONFIG, Case

LIMIT_CYCLES = 5_000_000


async def play(dut: Any, case: Case) -> None:
    """Run one case on a device that has just been reset and enumerated."""
    dut.down_put.value = 0
    dut.rst.value = 1
    await cycles(4)
    dut.rst.value = 0
    transport = await RtlTransport.open(dut, config=CONFIG)
    await case(transport)
    findings = await transport.finish()
    assert not findings, "\n".join(findings)
    assert not transport.host.interrupts.live, "entries of the remapping table were leaked"
    assert not any(boot(transport.host).counts().values()), "interrupts were leaked"


def make(name: str, case: Case) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """The bench of one case."""

    async def reported(dut: Any) -> None:
        if name not in parameters().get("cases", CASES):
            return
        begun, error = now(), None
        try:
            work = cocotb.start_soon(play(dut, case))
            await with_timeout(work, LIMIT_CYCLES * PERIOD_PS, "step")
        except Exception:
            error = traceback.format_exc()
        line = json.dumps({"name": name, "error": error, "cycles": now() - begun})
        with Path(parameters()["results"]).open("a") as file:
            file.write(line + "\n")

    reported.__name__ = reported.__qualname__ = name
    return reported


decorate = bench(limit_cycles=LIMIT_CYCLES + 1000)
globals().update({name: decorate(make(name, case)) for name, case in CASES.items()})
