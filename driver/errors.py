"""What can go wrong, each with a sentence that says what was found and what was expected."""

# An error here is named for what happened, as in other drivers.
# ruff: noqa: N818

from hw.regs.commands import Command, CommandError


class DriverError(Exception):
    """Base of everything that this driver raises on purpose."""


class ProbeError(DriverError):
    """The function is not one that this driver knows how to drive. Nothing was left enabled."""


class DeviceGone(DriverError):
    """The device answers with all ones, or not at all."""


class DeviceHalted(DriverError):
    """The device has stopped after an error; a Function Level Reset brings it back."""


class SettingsError(DriverError, ValueError):
    """A setting is outside what the device can do; nothing was written."""


def _name(names: type[Command] | type[CommandError], value: int) -> str:
    return names(value).name if value in set(names) else f"{value:#x}"


class CommandFailed(DriverError):
    """The device refused a command.

    Parameters
    ----------
    command, operand
        What was asked.
    error
        CMDSTATUS[7:0] (:class:`hw.regs.commands.CommandError`).
    """

    def __init__(self, command: int, operand: int, error: int) -> None:
        self.command, self.operand, self.error = command, operand, error
        super().__init__(
            f"command {_name(Command, command)} with operand {operand:#x} failed: "
            f"{_name(CommandError, error)} ({error:#04x})"
        )


class CommandTimeout(DriverError):
    """A command did not complete in its time."""


class MissedBell(DriverError):
    """Work was completed, but the interrupt that should have said so did not arrive."""


class VectorError(DriverError):
    """A vector cannot be used this way, or its entry did not take what was written."""


class VectorsExhausted(DriverError):
    """Every vector of the table is allocated."""


class QueueFull(DriverError):
    """The queue had no room for the descriptor within the time allowed; nothing was submitted."""


class SubmissionRejected(DriverError):
    """The device answered a deferrable write with an error; nothing was submitted."""


class OperationTimeout(DriverError):
    """An operation did not complete in its time; its ADI was drained, so nothing still writes."""


class OperationAborted(DriverError):
    """The operation was discarded with its ADI, or by an abort command."""
