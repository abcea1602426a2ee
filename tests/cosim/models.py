"""The device as the benches of this room run it: built once, found by all."""

from hw.device import Device
from sim.bench import BuiltModel, build
from sim.host.link import Linked
from tests.driver.cases import CONFIG, HOST_CONFIG


def device() -> BuiltModel:
    """The device that the driver's cases are written for, behind a link: the default one."""
    return build(Linked(Device(CONFIG), CONFIG.data_width), "device", key=repr(CONFIG))


def host_device() -> BuiltModel:
    """The device whose message storage may lie in the host's memory."""
    linked = Linked(Device(HOST_CONFIG), HOST_CONFIG.data_width)
    return build(linked, "host_device", key=repr(HOST_CONFIG))
