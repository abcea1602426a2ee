"""What is to be known of a board."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from amaranth.build import Resource, TemplatedPlatform

from hw.regs import Config
from hw.regs.tether import Identity

Place = tuple[str, int] | tuple[str, int, str]
"""A resource of a platform: name, number, and subsignal if it has any."""


@dataclass(frozen=True, kw_only=True)
class Lights:
    """LEDs that show life.

    Parameters
    ----------
    link
        On while a host is there, blinks slowly while none is.
    bell
        Flashes when an interrupt message leaves.
    error
        Flashes when something came over the line that was no good.
    """

    link: Place
    bell: Place
    error: Place


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that the device is built for.

    Parameters
    ----------
    name
        As a person types it, at most 16 letters.
    title
        As its makers call it.
    platform
        Makes the platform of amaranth-boards.
    corrections
        Resources that the platform lacks, or has wrong.
    config
        Parameters of the device.
    clock_hz, baud
        Clock of the device, and rate of the serial line.
    lights
        Which LEDs are used.
    uart
        The serial line.
    perst
        PERST# of the slot, where there is one: an input; it resets the device.
    high
        Outputs that have to be high for the serial line to work.
    wiring
        Where the serial line is, for a person.
    loader
        Arguments of openFPGALoader that name the board.
    """

    name: str
    title: str
    platform: Callable[[], TemplatedPlatform]
    corrections: tuple[Resource, ...] = ()
    config: Config
    clock_hz: int
    baud: int
    lights: Lights
    uart: Place = ("uart", 0)
    perst: Place | None = None
    high: tuple[Place, ...] = ()
    wiring: str
    loader: tuple[str, ...]

    @property
    def identity(self) -> Identity:
        """What a board with this design says of itself."""
        major, minor, patch = map(int, version("tocsin").split("."))
        return Identity(
            version=(major, minor, patch),
            parameters=self.config.digest,
            clock_hz=self.clock_hz,
            baud=self.baud,
            board=self.name,
        )

    def make_platform(self) -> TemplatedPlatform:
        """The platform, with the corrections."""
        platform = self.platform()
        corrected = {(item.name, item.number) for item in self.corrections}
        for key in corrected & set(platform.resources):
            del platform.resources[key]
        platform.add_resources(list(self.corrections))
        return platform


def on_tether(**parameters: int) -> Config:
    """Parameters of a device behind a serial line: its host takes its time."""
    return Config(completion_timeout_cycles=1_000_000_000, **parameters)
