"""Tocsin's host driver: probe, dynamic interrupt vectors, assignable device interfaces.

Knows the register map and a :class:`~driver.transport.Transport`, and nothing else.
"""
