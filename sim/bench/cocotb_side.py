"""What a bench uses inside the simulator: orders, results, progress, clock, reset, watchdogs."""

import contextlib
import faulthandler
import functools
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import First, Timer
from cocotb.utils import get_sim_time

from .running import VARIABLE

PERIOD_NS = 8
"""One clock: 125 MHz."""

PERIOD_PS = PERIOD_NS * 1000

_orders: dict[str, Any] = json.loads(os.environ.get(VARIABLE, "{}"))
_result: dict[str, Any] = {}
_pipe = None


def parameters() -> dict[str, Any]:
    """What the caller of :func:`sim.bench.run` gave."""
    return dict(_orders.get("parameters", {}))


def seed() -> int:
    """The seed that Python's ``random`` started from."""
    return int(_orders.get("seed", 0))


def report(**values: Any) -> None:
    """Add to the result of the run; values have to survive JSON."""
    _result.update(values)
    if path := _orders.get("result"):
        Path(path).write_text(json.dumps(_result))


def progress(done: int, total: int, text: str = "") -> None:
    """Tell the caller how far the bench has come. Cheap, and free when nobody listens."""
    global _pipe
    if path := _orders.get("progress"):
        if _pipe is None:
            _pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        # A caller that does not keep up misses a report; the bench never waits.
        with contextlib.suppress(BlockingIOError):
            os.write(_pipe, json.dumps([done, total, text]).encode() + b"\n")


def now() -> int:
    """Clocks since the simulation began."""
    return int(get_sim_time("step")) // PERIOD_PS


async def cycles(count: int) -> None:
    """Let clocks pass. Costs one event, however many.

    Returns just after the rising edge: what is read then is new, and what is written then is seen
    at the next edge.
    """
    if count > 0:
        elapsed = int(get_sim_time("step"))
        await Timer((elapsed // PERIOD_PS + count) * PERIOD_PS + 1 - elapsed, "step")


async def start(dut: Any) -> None:
    """Start the clock and hold reset for a few clocks."""
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_PS, "step").start(start_high=True)
    await cycles(4)
    dut.rst.value = 0
    await cycles(1)


def bench(
    *, limit_cycles: int = 10_000_000
) -> Callable[[Callable[[Any], Coroutine[Any, Any, dict[str, Any] | None]]], Any]:
    """Make a coroutine a cocotb test with clock, reset and watchdogs.

    What the coroutine returns is reported. It fails when it takes longer than ``limit_cycles``
    clocks (or the parameter of that name), or longer than the ``timeout`` of the run.
    """

    def decorate(function: Callable[[Any], Coroutine[Any, Any, dict[str, Any] | None]]) -> Any:
        @functools.wraps(function)
        async def wrapped(dut: Any) -> None:
            limit = int(parameters().get("limit_cycles", limit_cycles))
            # Works even when the simulator never comes back to Python.
            faulthandler.dump_traceback_later(
                float(_orders.get("timeout", 600.0)), exit=True, file=sys.stderr.fileno()
            )
            try:
                await start(dut)
                work = cocotb.start_soon(function(dut))
                await First(work.complete, Timer(limit * PERIOD_PS, "step"))
                if not work.done():
                    work.cancel()
                    raise AssertionError(f"not finished after {limit} clocks")
                if returned := work.result():
                    report(**returned)
            finally:
                faulthandler.cancel_dump_traceback_later()

        return cocotb.test()(wrapped)

    return decorate
