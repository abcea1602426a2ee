"""Comparisons with constants."""

from amaranth import *


def at_least(value, bound: int):
    """``value >= bound`` for a constant, in lookup tables rather than a carry chain."""
    if bound >= 1 << len(value):
        return C(0, 1)
    result = C(1, 1)
    for position in range(len(value)):
        bit = value[position]
        result = bit & result if bound >> position & 1 else bit | result
    return result
