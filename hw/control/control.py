"""Device control: registers, commands, state, errors and their interrupt."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..csr.bus import CsrSignature
from ..flow.arbiter import Arbiter
from ..interrupts.records import Event
from ..pcie.records import Settings
from ..queues.abandon import Abandon
from ..queues.records import ErrorRecord, QueueControl
from ..regs import Config
from ..regs.bar0 import bar0
from ..regs.commands import CommandError, DeviceState, SoftwareError
from .error_log import ErrorLog
from .handles import Handles
from .registers import Registers
from .runner import CommandRunner


class Control(Component):
    """Everything in BAR0 that is not a table, and what it controls.

    Errors, halts and ends of commands ring vector 0 of the MSI-X table, after INTCAUSE and
    CMDSTATUS say why (DSA §3.7). Causes that come before the vector has been taken ring it once.

    **Timing**: a register access takes 2 clocks. Reset: device disabled, registers as DSA §9.2
    table 9-3 has them.

    **Errors**: a change of Bus Master Enable or of the PASID settings while the device is enabled
    halts it (DSA §5.7): the queues accept nothing, descriptors are discarded, and only Reset Device
    works.

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
    queues : ``Out(QueueControl(config))``
    abandon : ``Out(Abandon(config))``
        Which descriptors the engine is to abandon.
    user_interrupts : ``Out(1)``
        Unprivileged descriptors may ask for interrupts (GENCFG).
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
                "queues": Out(QueueControl(config)),
                "abandon": Out(Abandon(config)),
                "user_interrupts": Out(1),
                "store_busy": In(1),
                "reset_ims": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.registers = registers = Registers(config)
        m.submodules.runner = runner = CommandRunner(config)
        m.submodules.handles = handles = Handles(config)
        m.submodules.errors = errors = ErrorLog()
        connect(m, flipped(self.csr), registers.csr)
        connect(m, runner.queues, flipped(self.queues))
        connect(m, runner.o_handle, handles.i)
        connect(m, handles.o, runner.i_handle)

        status = bar0(config).register("cmdstatus")
        gencfg = bar0(config).register("gencfg")
        m.d.comb += [
            runner.start.eq(registers.command_written & ~runner.active),
            runner.command.eq(registers.command),
            runner.settings.eq(self.settings),
            runner.store_busy.eq(self.store_busy),
            runner.cleared.eq(handles.ready),
            runner.configuration_error.eq(self._configuration_error(m, registers)),
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
            self.user_interrupts.eq(registers.gencfg[gencfg["user_interrupts"].lsb]),
            self.abandon.valid.eq(self.queues.discard),
        ]
        for name in ("affected", "by_pasid", "pasid"):
            m.d.comb += getattr(self.abandon, name).eq(getattr(runner.queues, name))
        self._watch_settings(m, runner)
        self._gather_errors(m, runner, registers, errors)
        self._ring(m, runner, registers, errors)
        return m

    def _configuration_error(self, m, registers):
        """What is wrong with GENCFG and EVLCFG (DSA §5.1)."""
        space, settings = bar0(self._config), self.settings
        log_enable = registers.gencfg[space.register("gencfg")["event_log"].lsb]
        evlcfg = space.register("evlcfg")
        pasid = registers.evlcfg[evlcfg["pasid_enable"].lsb]
        privileged = registers.evlcfg[evlcfg["privileged"].lsb]
        error = Signal(8)
        with m.If(
            (pasid & ~settings.pasid_enable) | (privileged & ~(pasid & settings.pasid_privileged))
        ):
            m.d.comb += error.eq(CommandError.PASID)
        with m.If(log_enable):
            m.d.comb += error.eq(CommandError.EVENT_LOG)
        return error

    def _watch_settings(self, m, runner):
        """Halt when configuration space pulls the ground from under an enabled device."""
        settings, before = self.settings, Signal(2)
        pasid = Cat(settings.pasid_enable, settings.pasid_privileged)
        m.d.sync += before.eq(pasid)
        active = (runner.state == DeviceState.ENABLED) | (
            (runner.state == DeviceState.DRAINING) & ~runner.resetting
        )
        m.d.comb += runner.halt.eq(active & (~settings.bus_master | (pasid != before)))

    def _gather_errors(self, m, runner, registers, errors):
        """Errors of all sources, one at a time, into the log."""
        m.submodules.merge = merge = Arbiter(ErrorRecord, 4)
        connect(m, flipped(self.i_queue_error), merge.i[0])
        connect(m, flipped(self.i_engine_error), merge.i[1])
        own = (
            (merge.i[2], SoftwareError.ENABLE_CHANGED, runner.halt),
            (
                merge.i[3],
                SoftwareError.COMMAND_WHILE_ACTIVE,
                registers.command_written & runner.active,
            ),
        )
        for source, code, event in own:
            m.d.comb += source.p.code.eq(code)
            with m.If(event):
                m.d.sync += source.valid.eq(1)
            with m.Elif(source.ready):
                m.d.sync += source.valid.eq(0)
        connect(m, merge.o, errors.i)

    def _ring(self, m, runner, registers, errors):
        """Causes, and the vector that announces them."""
        genctrl, intcause = (bar0(self._config).register(n) for n in ("genctrl", "intcause"))

        def allowed(name):
            return registers.genctrl[genctrl[name].lsb]

        causes = {
            "error": errors.raised & allowed("error_interrupt"),
            "halt": runner.halt & allowed("halt_interrupt"),
            "command": runner.finished,
        }
        for name, cause in causes.items():
            m.d.comb += registers.cause[intcause[name].lsb].eq(cause)
        with m.If(registers.cause.any()):
            m.d.sync += self.o_event.valid.eq(1)
        with m.Elif(self.o_event.ready):
            m.d.sync += self.o_event.valid.eq(0)
