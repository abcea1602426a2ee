"""Tocsin's gateware: a PCI Express endpoint with SIOV and interrupt message storage."""
