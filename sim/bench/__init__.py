"""The harness: Amaranth to Verilator to cocotb, with caching, progress, seeds and watchdogs."""

from .building import BuildFailure, BuiltModel, build
from .running import BenchFailure, run

__all__ = ["BenchFailure", "BuildFailure", "BuiltModel", "build", "run"]
