"""Device control: registers, commands, state, errors and their interrupt."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..csr.bus import CsrSignature
from ..interrupts.records import Event
from ..pcie.records import Settings, WriteCommand
from ..queues.abandon import Abandon
from ..queues.records import ErrorRecord, QueueControl
from ..regs import Config
from ..regs.bar0 import bar0
from ..regs.commands import DeviceState
from ..tlp.records import packet_stream
from .device_check import DeviceCheck
from .error_log import ErrorLog
from .errors import ErrorRouter
from .event_log import EventLog
from .handles import Handles
from .registers import Registers
from .runner import CommandRunner


class Control(Component):
    """Everything in BAR0 that is not a table, and what it controls.

    Errors, halts, ends of commands and queues that ask for it ring vector 0 of the MSI-X table,
    after INTCAUSE and CMDSTATUS say why (DSA §3.7). Causes that come before the vector has been
    taken ring it once.

    **Timing**: a register access takes 3 clocks. Reset: device disabled, registers as DSA §9.2
    table 9-3 has them.

    **Errors**: a change of Bus Master Enable or of the PASID settings while the device is enabled
    halts it (DSA §5.7): the queues accept nothing, descriptors are discarded, and only Reset Device
    works. That is also the report of writes that such a change drops, completion records among
    them; an entry of the event log that is dropped is reported besides.

    Parameters
    ----------
    config
        Counts, limits and sizes.

    Members
    -------
    csr : ``In(CsrSignature())``
        BAR0 but for its tables.
    settings : ``In(Settings)``
    o_event : ``Out(stream.Signature(Event))``
        For vector 0 of the MSI-X table; no completions, so Ignore does not concern them.
    i_queue_error, i_engine_error : ``In(stream.Signature(ErrorRecord))``
    o_write : ``Out(packet_stream(WriteCommand, data_width))``
    i_written : ``In(stream.Signature(1))``
        Entries of the event log, and the answer to each: 1 if it was dropped.
    queues : ``Out(QueueControl(config))``
    abandon : ``Out(Abandon(config))``
        Which descriptors the engine is to abandon.
    user_interrupts : ``Out(1)``
        Unprivileged descriptors may ask for interrupts (GENCFG).
    staged : ``Out(1)``
        Portals take descriptors in pieces.
    store_busy : ``In(1)``
        Message storage holds a message, or is clearing itself.
    reset_ims : ``Out(1)``
        Pulse: message storage and permissions are to take their reset values.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "csr": In(CsrSignature()),
                "settings": In(Settings),
                "o_event": Out(stream.Signature(Event)),
                "i_queue_error": In(stream.Signature(ErrorRecord)),
                "i_engine_error": In(stream.Signature(ErrorRecord)),
                "o_write": Out(packet_stream(WriteCommand, config.data_width)),
                "i_written": In(stream.Signature(1)),
                "queues": Out(QueueControl(config)),
                "abandon": Out(Abandon(config)),
                "user_interrupts": Out(1),
                "staged": Out(1),
                "store_busy": In(1),
                "reset_ims": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.registers = registers = Registers(config)
        m.submodules.runner = runner = CommandRunner(config)
        m.submodules.check = check = DeviceCheck(config)
        m.submodules.handles = handles = Handles(config)
        m.submodules.errors = errors = ErrorLog()
        m.submodules.log = log = EventLog(config)
        connect(m, flipped(self.csr), registers.csr)
        connect(m, runner.queues, flipped(self.queues))
        connect(m, runner.o_handle, handles.i)
        connect(m, handles.o, runner.i_handle)
        connect(m, log.o_write, flipped(self.o_write))
        connect(m, flipped(self.i_written), log.i_written)

        status = bar0(config).register("cmdstatus")
        m.d.comb += [
            runner.start.eq(registers.command_written & ~runner.active),
            runner.command.eq(registers.command),
            runner.settings.eq(self.settings),
            runner.store_busy.eq(self.store_busy),
            runner.log_busy.eq(log.busy),
            runner.cleared.eq(handles.ready),
            check.groups.eq(self.queues.groups),
            check.gencfg.eq(registers.gencfg),
            check.evlcfg.eq(registers.evlcfg),
            check.settings.eq(self.settings),
            runner.faults.eq(check.o),
            registers.locked.eq(runner.state != DeviceState.DISABLED),
            registers.clear.eq(runner.reset),
            registers.gensts.eq(runner.state),
            registers.cmdstatus.eq(
                (runner.error << status["error"].lsb)
                | (runner.result << status["result"].lsb)
                | (runner.active << status["active"].lsb)
            ),
            registers.swerror.eq(errors.value),
            errors.clear_valid.eq(registers.error_clear[0]),
            errors.clear_overflow.eq(registers.error_clear[1]),
            handles.clear.eq(runner.reset),
            self.reset_ims.eq(runner.reset),
            self.user_interrupts.eq(self._bit(registers.gencfg, "gencfg", "user_interrupts")),
            self.staged.eq(self._bit(registers.ext_control, "ext_control", "staged_submission")),
            self.abandon.valid.eq(self.queues.discard),
        ]
        for name in ("affected", "by_pasid", "pasid"):
            m.d.comb += getattr(self.abandon, name).eq(getattr(runner.queues, name))
        self._watch_settings(m, runner)
        self._keep_log(m, runner, registers, log)
        self._gather_errors(m, runner, registers, errors, log)
        self._ring(m, runner, registers, errors, log)
        return m

    def _bit(self, value, register, field):
        """A flag of a register."""
        return value[bar0(self._config).register(register)[field].lsb]

    def _watch_settings(self, m, runner):
        """Halt when configuration space pulls the ground from under an enabled device."""
        settings, before = self.settings, Signal(2)
        pasid = Cat(settings.pasid_enable, settings.pasid_privileged)
        m.d.sync += before.eq(pasid)
        active = (runner.state == DeviceState.ENABLED) | (
            (runner.state == DeviceState.DRAINING) & ~runner.resetting
        )
        m.d.comb += runner.halt.eq(active & (~settings.bus_master | (pasid != before)))

    def _keep_log(self, m, runner, registers, log):
        """The event log starts anew with the device, if it is enabled at all."""
        m.d.comb += [
            log.evlcfg.eq(registers.evlcfg),
            log.start.eq(runner.started & self._bit(registers.gencfg, "gencfg", "event_log")),
            log.head.eq(registers.log_head),
            log.allow.eq(self._bit(registers.genctrl, "genctrl", "event_log_interrupt")),
            log.acknowledge.eq(registers.log_acknowledge),
            registers.log_start.eq(log.start),
            registers.log_tail.eq(log.tail),
            registers.log_pending.eq(log.pending),
        ]

    def _gather_errors(self, m, runner, registers, errors, log):
        """Errors of all sources, into SWERROR or the event log; a halted device writes nothing."""
        m.submodules.router = router = ErrorRouter()
        connect(m, flipped(self.i_queue_error), router.i_queue)
        connect(m, flipped(self.i_engine_error), router.i_engine)
        connect(m, log.o_error, router.i_log)
        connect(m, router.o_register, errors.i)
        connect(m, router.o_log, log.i)
        working = (runner.state == DeviceState.ENABLED) | (runner.state == DeviceState.DRAINING)
        m.d.comb += [
            router.halt.eq(runner.halt),
            router.refused.eq(registers.command_written & runner.active),
            router.logged.eq(working & self._bit(registers.gencfg, "gencfg", "event_log")),
        ]

    def _ring(self, m, runner, registers, errors, log):
        """Causes, and the vector that announces them."""
        intcause = bar0(self._config).register("intcause")
        causes = {
            "error": errors.raised & self._bit(registers.genctrl, "genctrl", "error_interrupt"),
            "halt": runner.halt & self._bit(registers.genctrl, "genctrl", "halt_interrupt"),
            "command": runner.finished,
            "occupancy": self.queues.below,
            "event_log": log.raised,
        }
        for name, cause in causes.items():
            m.d.comb += registers.cause[intcause[name].lsb].eq(cause)
        with m.If(registers.cause.any()):
            m.d.sync += self.o_event.valid.eq(1)
        with m.Elif(self.o_event.ready):
            m.d.sync += self.o_event.valid.eq(0)
