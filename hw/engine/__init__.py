"""The engine: descriptor decode, operations, completion records."""
