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
from .registry import CASES, CONFIG, Case

__all__ = [
    "CASES",
    "CONFIG",
    "Case",
    "batches",
    "control",
    "deltas",
    "guest_moves",
    "guests",
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
