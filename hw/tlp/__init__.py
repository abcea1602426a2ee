"""TLP records and the wire format.

The only room that knows the byte order of the wire, header lengths and prefixes.
"""
