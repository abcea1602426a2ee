"""Control: the registers at the start of BAR0, the command register, device state and errors."""
