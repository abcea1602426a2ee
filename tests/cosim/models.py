"""The device as the benches of this room run it: built once, found by all."""

from hw.device import Device
from sim.bench import BuiltModel, build
from sim.host.link import Linked
from tests.driver.cases import CONFIG


def device() -> BuiltModel:
    """The device that the driver's cases are written for, behind a link: the default one."""
    return build(Linked(Device(CONFIG), CONFIG.data_width), "device", key=repr(CONFIG))
