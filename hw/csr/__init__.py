"""Control and status registers: the bus behind BAR0, its decoder, and registers made from data."""
