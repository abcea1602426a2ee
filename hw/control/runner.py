"""Commands, one at a time."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..pcie.records import Settings
from ..queues.records import QueueControl
from ..regs import Config
from ..regs.commands import CommandError, DeviceState
from .device_check import DeviceFaults
from .handles import HandleRequest
from .judge import CommandJudge, Plan
from .recipes import queue_faults

SETTLE_CYCLES = 8
"""Clocks from the end of the last descriptor until message storage shows what it has of it."""


class CommandRunner(Component):
    """Execute the commands of the CMD register (DSA §3.15).

    Each command is a :class:`hw.control.recipes.Recipe`. Checks come first: a command that fails
    one has no effect. Commands that stop or wait for descriptors end when the queues and the engine
    are done with all that are affected, and message storage has let go of their interrupts, so
    nothing of them is written or sent after the end (DSA §3.15, drain and abort commands).

    **Timing**: a command without anything to wait for takes up to 30 clocks; those that look at or
    clear configuration take two clocks more for each queue, and as long as the stores need to
    clear themselves.

    Parameters
    ----------
    config
        Counts and limits.

    Members
    -------
    start : ``In(1)``, command : ``In(32)``
        Pulse: the CMD register is written. Ignored while ``active``.
    active : ``Out(1)``, error : ``Out(8)``, result : ``Out(16)``
        CMDSTATUS.
    finished : ``Out(1)``
        Pulse: a command that asks for an interrupt ends; ``error`` and ``result`` are final one
        clock later.
    halt : ``In(1)``
        Pulse: the device halts.
    halted : ``Out(1)``, state : ``Out(DeviceState)``
    resetting : ``Out(1)``
        Reset Device is under way.
    started : ``Out(1)``
        Pulse: the device becomes enabled.
    settings : ``In(Settings)``
    faults : ``In(DeviceFaults)``
        What is wrong with the configuration of the device.
    store_busy : ``In(1)``
        Message storage holds a message or is clearing itself.
    log_busy : ``In(1)``
        The event log holds an event.
    reset : ``Out(1)``
        Pulse: all stores and registers that Reset Device clears are to clear themselves.
    cleared : ``In(1)``
        They have.
    queues : ``Out(QueueControl(config))``
    o_handle : ``Out(stream.Signature(HandleRequest))``, i_handle : ``In(stream.Signature(1))``
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "command": In(32),
                "active": Out(1),
                "error": Out(8),
                "result": Out(16),
                "finished": Out(1),
                "halt": In(1),
                "halted": Out(1),
                "state": Out(DeviceState, init=DeviceState.DISABLED),
                "resetting": Out(1),
                "started": Out(1),
                "settings": In(Settings),
                "faults": In(DeviceFaults),
                "store_busy": In(1),
                "log_busy": In(1),
                "reset": Out(1),
                "cleared": In(1),
                "queues": Out(QueueControl(config)),
                "o_handle": Out(stream.Signature(HandleRequest)),
                "i_handle": In(stream.Signature(1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.judge = judge = CommandJudge(self._config)
        queues = self.queues
        command = Signal(32)
        # What the judge says, a clock after the command was taken; it holds from then on.
        plan, error, accepted = Signal(Plan), Signal(8), Signal()
        affected = Signal.like(queues.affected)
        m.d.sync += [
            plan.eq(judge.plan),
            error.eq(judge.error),
            affected.eq(judge.affected),
        ]
        m.d.comb += [
            judge.command.eq(command),
            judge.state.eq(self.state),
            judge.bus_master.eq(self.settings.bus_master),
            judge.enabled.eq(queues.enabled),
            self.halted.eq(self.state == DeviceState.HALTED),
            self.resetting.eq(self.active & plan.clear_device),
            queues.locked.eq(self.state != DeviceState.DISABLED),
            queues.hold.eq(self.halted),
            queues.affected.eq(Mux(self.halted, -1, affected)),
            queues.by_pasid.eq(plan.by_pasid & ~self.halted),
            queues.pasid.eq(command),
            self.o_handle.p.vector.index.eq(command),
            self.o_handle.p.vector.ims.eq(command[16]),
            self.o_handle.p.release.eq(~command[20]),
        ]

        waiting = Signal(range(SETTLE_CYCLES))
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [command.eq(self.command), self.active.eq(1)]
                    m.d.sync += [self.error.eq(0), self.result.eq(0)]
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [self.error.eq(error), queues.query.eq(0), accepted.eq(error == 0)]
                with m.If(error != 0):
                    m.next = "REPORT"
                with m.Elif(plan.enable_device):
                    m.next = "LOOK AT QUEUE"
                with m.Elif(plan.enable_queue):
                    m.d.sync += queues.query.eq(command)
                    m.next = "LOOK UP QUEUE"
                with m.Elif(plan.handle):
                    m.next = "ASK FOR HANDLE"
                with m.Else():
                    m.next = "CLOSE"
            self._enable_device(m)
            self._enable_queue(m)
            self._handle(m, command)
            self._quiesce(m, plan, waiting)
            self._clear(m, plan, affected, waiting)
            with m.State("REPORT"):
                m.d.comb += self.finished.eq(command[31])
                m.d.sync += [self.active.eq(0), accepted.eq(0)]
                with m.If(self.halted & ~plan.discard & (self.error == 0)):
                    m.d.sync += [self.error.eq(CommandError.HARDWARE), self.result.eq(0)]
                m.next = "IDLE"
        with m.If(self.halt):
            m.d.sync += self.state.eq(DeviceState.HALTED)
        m.d.comb += queues.discard.eq((accepted & plan.discard) | self.halted)
        return m

    def _enable_device(self, m):
        """Give each queue its slots, looking for what is wrong on the way (DSA §5.1)."""
        queues, config = self.queues, self._config
        members = reduce(or_, (group.queues for group in queues.groups))
        total = Signal(range(config.queues * (1 << 16)))
        misfit = Signal()
        with m.State("LOOK AT QUEUE"):
            m.next = "PLACE QUEUE"
        with m.State("PLACE QUEUE"):
            grouped = members.bit_select(queues.query, 1)
            m.d.comb += [queues.place.eq(1), queues.base.eq(total)]
            m.d.sync += [
                total.eq(total + queues.entry.size),
                misfit.eq(misfit | (grouped != (queues.entry.size != 0))),
                queues.query.eq(queues.query + 1),
            ]
            m.next = "LOOK AT QUEUE"
            with m.If(queues.query == config.queues - 1):
                m.next = "CONCLUDE"
        with m.State("CONCLUDE"):
            m.d.sync += [total.eq(0), misfit.eq(0)]
            faults = (
                (total > config.queue_slots, CommandError.TOTAL_SIZE),
                (self.faults.group_incomplete, CommandError.GROUP_INCOMPLETE),
                (misfit | self.faults.group_queues, CommandError.GROUP_QUEUES),
                (self.faults.group_engines, CommandError.GROUP_ENGINES),
                (self.faults.read_buffers, CommandError.READ_BUFFERS),
                (self.faults.event_log, CommandError.EVENT_LOG),
                (self.faults.pasid, CommandError.PASID),
            )
            m.d.sync += self.state.eq(DeviceState.ENABLED)
            m.d.comb += self.started.eq(1)
            for fault, error in reversed(faults):
                with m.If(fault):
                    m.d.comb += self.started.eq(0)
                    m.d.sync += [self.error.eq(error), self.state.eq(DeviceState.DISABLED)]
            m.next = "REPORT"

    def _enable_queue(self, m):
        """Open the queue if its configuration is sound (DSA §5.2)."""
        queues = self.queues
        with m.State("LOOK UP QUEUE"):
            m.next = "OPEN"
        with m.State("OPEN"):
            m.d.comb += queues.open.eq(~self.halted)
            for fault, error in reversed(queue_faults(self._config, queues.entry, self.settings)):
                with m.If(fault):
                    m.d.comb += queues.open.eq(0)
                    m.d.sync += self.error.eq(error)
            m.next = "REPORT"

    def _handle(self, m, command):
        """Request or release a handle, which is the index it is for."""
        with m.State("ASK FOR HANDLE"):
            m.d.comb += self.o_handle.valid.eq(1)
            with m.If(self.o_handle.ready):
                m.next = "TAKE HANDLE"
        with m.State("TAKE HANDLE"):
            m.d.comb += self.i_handle.ready.eq(1)
            with m.If(self.i_handle.valid):
                with m.If(~self.i_handle.payload):
                    m.d.sync += self.error.eq(CommandError.HANDLE_INDEX)
                with m.Elif(~self.o_handle.p.release):
                    m.d.sync += self.result.eq(command[:16])
                m.next = "REPORT"

    def _quiesce(self, m, plan, waiting):
        """Wait until nothing of the affected descriptors can be written or sent any more."""
        queues = self.queues
        with m.State("CLOSE"):
            m.d.comb += queues.close.eq(plan.close)
            with m.If(plan.device & (~self.halted | plan.clear_device)):
                m.d.sync += self.state.eq(DeviceState.DRAINING)
            m.next = "CLOSING"
        with m.State("CLOSING"):
            # The portals take nothing more from the next clock on.
            m.next = "WATCH"
        with m.State("WATCH"):
            m.d.comb += queues.watch.eq(1)
            m.next = "WAIT"
        with m.State("WAIT"):
            m.d.sync += waiting.eq(SETTLE_CYCLES - 1)
            with m.If(queues.settled):
                m.next = "SETTLE"
        with m.State("SETTLE"):
            # What message storage cannot send for want of Bus Master is not waited for.
            with m.If(waiting != 0):
                m.d.sync += waiting.eq(waiting - 1)
            with m.Elif(~self.log_busy & (~self.store_busy | ~self.settings.bus_master)):
                m.next = "SHUT"
        with m.State("SHUT"):
            m.d.comb += queues.shut.eq(plan.shut)
            with m.If(plan.device & (~self.halted | plan.clear_device)):
                m.d.sync += self.state.eq(DeviceState.DISABLED)
            m.next = "REPORT"
            with m.If(plan.clear_device):
                m.next = "RESET"
            with m.Elif(plan.clear_queues):
                m.next = "LOOK AT CONFIGURATION"

    def _clear(self, m, plan, affected, waiting):
        """Set configuration to what it is after reset."""
        queues = self.queues
        with m.State("LOOK AT CONFIGURATION"):
            m.next = "CLEAR CONFIGURATION"
        with m.State("CLEAR CONFIGURATION"):
            m.d.comb += queues.clear.eq(affected.bit_select(queues.query, 1))
            m.d.sync += queues.query.eq(queues.query + 1)
            m.next = "LOOK AT CONFIGURATION"
            with m.If(queues.query == self._config.queues - 1):
                m.next = "REPORT"
        with m.State("RESET"):
            m.d.comb += [self.reset.eq(1), queues.clear_all.eq(1)]
            m.d.sync += waiting.eq(SETTLE_CYCLES - 1)
            m.next = "RESETTING"
        with m.State("RESETTING"):
            with m.If(waiting != 0):
                m.d.sync += waiting.eq(waiting - 1)
            with m.Elif(queues.ready & self.cleared & ~self.store_busy):
                m.next = "REPORT"
