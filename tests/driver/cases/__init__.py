"""What the driver and a device do together, as coroutines over any transport.

A case is an ``async def`` that takes a transport, with a name that says what it shows. The same
cases run on the functional model and on the RTL; each starts from a function that has just been
enumerated, and whoever runs it checks the host for damage and misdirected messages afterwards.
"""

from . import (
    batches,
    control,
    deltas,
    guest_moves,
    guests,
    host_storage,
    interrupts,
    isolation,
    mistakes,
    mixture,
    operations,
    pressure,
    probing,
    sharing,
    stock,
    storm,
    tenants,
    trouble,
)
from .registry import CASES, CONFIG, HOST_CASES, HOST_CONFIG, Case

EITHER_STORAGE = (interrupts, storm, tenants, isolation, mixture)
"""Rooms whose cases are also run with interrupt message storage in the host's memory."""

IN_HOST_MEMORY = HOST_CASES | {
    name: case
    for name, case in CASES.items()
    if case.__module__ in {m.__name__ for m in EITHER_STORAGE}
}
"""Cases for a device of :data:`HOST_CONFIG`, which has its message storage there."""

__all__ = [
    "CASES",
    "CONFIG",
    "HOST_CONFIG",
    "IN_HOST_MEMORY",
    "Case",
    "batches",
    "control",
    "deltas",
    "guest_moves",
    "guests",
    "host_storage",
    "interrupts",
    "isolation",
    "mistakes",
    "mixture",
    "operations",
    "pressure",
    "probing",
    "sharing",
    "stock",
    "storm",
    "tenants",
    "trouble",
]
