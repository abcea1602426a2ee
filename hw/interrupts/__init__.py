"""Interrupt message storage and the message generator.

Depends on nothing but the register map and the bus, so that it can be taken into another design
alone.
"""
