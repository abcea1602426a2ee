"""The device as the benches of this room run it: built once, found by all."""

from hw.device import Device
from hw.regs import Config
from sim.bench import BuiltModel, build
from sim.host.link import Linked

CONFIG = Config()


def device() -> BuiltModel:
    """The device with default parameters, behind a link."""
    return build(Linked(Device(CONFIG), CONFIG.data_width), "device", key=repr(CONFIG))
