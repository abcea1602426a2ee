"""How long to wait for what, in clocks of the device."""

from dataclasses import dataclass, fields

from .errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Bounds on every wait of the driver, in clocks.

    Parameters
    ----------
    command
        From a command to its completion, for commands that need not wait for descriptors.
    drain
        The same for commands that wait for descriptors: disable, drain, abort.
    operation
        From the submission of a descriptor to its bell.
    submit
        How long a full queue is tried again.
    reset
        From a Function Level Reset to the first answer. The default is 100 ms at 125 MHz.
    """

    command: int = 100_000
    drain: int = 10_000_000
    operation: int = 1_000_000
    submit: int = 100_000
    reset: int = 12_500_000

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) < 1:
                raise SettingsError(f"the {item.name} timeout takes 1 clock or more")
