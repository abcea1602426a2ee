"""The figures of ``make bench``, all counted in clocks of the RTL."""
