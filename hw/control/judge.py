"""What a command is, what it concerns, and whether it may be executed."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from ..regs.commands import CommandError, DeviceState
from .recipes import RECIPES, Kind


class Plan(data.Struct):
    """A recipe as bits; see :class:`hw.control.recipes.Recipe`."""

    enable_device: 1
    enable_queue: 1
    handle: 1
    by_pasid: 1
    close: 1
    discard: 1
    shut: 1
    clear_queues: 1
    device: 1
    clear_device: 1


class CommandJudge(Component):
    """Look a command up and check all that can be checked at once.

    **Timing**: combinational.

    Parameters
    ----------
    config
        Counts and limits.

    Members
    -------
    command : ``In(32)``
        As written to CMD.
    state : ``In(DeviceState)``, bus_master : ``In(1)``, enabled : ``In(queues)``
        Of the device and of the queues.
    plan : ``Out(Plan)``
    affected : ``Out(queues)``
        Queues that the command concerns.
    error : ``Out(8)``
        The first check that fails, or 0.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "command": In(32),
                "state": In(DeviceState),
                "bus_master": In(1),
                "enabled": In(config.queues),
                "plan": Out(Plan),
                "affected": Out(config.queues),
                "error": Out(8),
            }
        )

    def _conditions(self):
        """The conditions that recipes name."""
        config = self._config
        operand = self.command[:20]
        index, ims = operand[:16], operand[16]
        groups = -(-config.queues // 16)
        bitmap = Cat(Mux(operand[16:20] == group, operand[:16], 0) for group in range(groups))
        named, beyond = bitmap[: config.queues], bitmap[config.queues :]
        misplaced = (operand[16:20] >= groups) & operand[:16].any()
        one = (1 << operand[:6])[: config.queues]
        conditions = {
            "device_disabled": self.state == DeviceState.DISABLED,
            "device_enabled": self.state == DeviceState.ENABLED,
            "bus_master": self.bus_master,
            "queue_exists": operand[:8] < config.queues,
            "queue_disabled": ~(one & self.enabled).any(),
            "queues_exist": ~(beyond.any() | misplaced),
            "queues_enabled": ~(named & ~self.enabled).any(),
            "index_valid": Mux(
                ims, index < config.ims_vectors, (index != 0) & (index < config.msix_vectors)
            ),
        }
        return conditions, named, one

    def elaborate(self, platform):
        m = Module()
        conditions, named, one = self._conditions()
        operand, reserved = self.command[:20], self.command[25:31]
        halted = self.state == DeviceState.HALTED
        with m.Switch(self.command[20:25]):
            for code, recipe in RECIPES.items():
                with m.Case(code):
                    plan = {
                        "enable_device": recipe.kind is Kind.ENABLE_DEVICE,
                        "enable_queue": recipe.kind is Kind.ENABLE_QUEUE,
                        "handle": recipe.kind is Kind.HANDLE,
                        "by_pasid": recipe.by_pasid,
                        "close": recipe.close,
                        "discard": recipe.discard,
                        "shut": recipe.shut,
                        "clear_queues": recipe.clear == "queues",
                        "device": recipe.device,
                        "clear_device": recipe.clear == "device",
                    }
                    everything = (1 << self._config.queues) - 1
                    affected = named if recipe.queues == "operand" else everything
                    if recipe.kind is Kind.ENABLE_QUEUE:
                        affected = one
                    m.d.comb += [self.plan[name].eq(value) for name, value in plan.items()]
                    m.d.comb += self.affected.eq(affected)
                    checks = (
                        *([] if recipe.in_halt else [(~halted, CommandError.DEVICE_HALTED)]),
                        (
                            ~(reserved.any() | (operand & recipe.reserved).any()),
                            CommandError.RESERVED_NOT_ZERO,
                        ),
                        *((conditions[name], error) for name, error in recipe.needs),
                    )
                    # The first check that fails is the last assignment.
                    for holds, error in reversed(checks):
                        with m.If(~holds):
                            m.d.comb += self.error.eq(error)
            with m.Default():
                m.d.comb += self.error.eq(CommandError.INVALID_COMMAND)
        return m
