"""The work queues: from portal to engine."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..csr.bus import CsrSignature
from ..flow.block_memory import BlockMemory
from ..interrupts.records import Event
from ..regs import Config
from ..regs.bar0 import bar0
from ..regs.descriptor import DESCRIPTOR_BYTES
from ..tlp.records import packet_stream
from .assign import Assign
from .dispatch import Dispatch
from .groups import GroupTable
from .ledger import Ledger
from .occupancy import OccupancyInterrupts
from .outlet import Outlet
from .portals import Portals
from .records import Done, ErrorRecord, QueueControl, Submission, Work
from .rings import Rings
from .staging import Staging
from .table import QueueTable
from .turns import Turns


class WorkQueues(Component):
    """Work queues with their portals, their configuration and the arbiter of their groups.

    All queues share one memory of descriptor slots; each has as many as its size says. Engine e
    gets descriptors of the queues of its group, in the order in which each queue took them; two of
    them stand ready for it. What a command does to queues comes in over ``control``.

    **Timing**: a submission takes 11 clocks at 64 bits, a descriptor handed out 15, whichever
    engines are busy. Reset: all queues disabled and empty, configuration as DSA §9.2 table 9-3 has
    it after one clock per queue.

    **Errors**: ``o_error`` reports writes to a full dedicated queue.

    Parameters
    ----------
    config
        Counts of queues, slots, groups and engines, ``data_width``.

    Members
    -------
    i_submission : ``In(packet_stream(Submission, data_width))``
    o_verdict : ``Out(stream.Signature(1))``
        One for every submission; 1: accepted.
    staged : ``In(1)``
        Portals of dedicated queues take descriptors in pieces (:class:`.staging.Staging`).
    csr : ``In(CsrSignature())``
        Tables ``grpcfg`` and ``wqcfg`` of BAR0 and what lies between them.
    control : ``In(QueueControl(config))``
    o_work : ``Out(packet_stream(Work, data_width)).array(engines)``
    i_done : ``In(stream.Signature(Done)).array(engines)``
        One for each descriptor, in order, when the engine can do nothing more for it.
    o_event : ``Out(stream.Signature(Event))``
        Occupancy interrupts.
    o_error : ``Out(stream.Signature(ErrorRecord))``
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "i_submission": In(packet_stream(Submission, config.data_width)),
                "o_verdict": Out(stream.Signature(1)),
                "staged": In(1),
                "csr": In(CsrSignature()),
                "control": In(QueueControl(config)),
                "o_work": Out(packet_stream(Work, config.data_width)).array(config.engines),
                "i_done": In(stream.Signature(Done)).array(config.engines),
                "o_event": Out(stream.Signature(Event)),
                "o_error": Out(stream.Signature(ErrorRecord)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, control = self._config, self.control
        m.submodules.staging = staging = Staging(config)
        m.submodules.portals = portals = Portals(config)
        m.submodules.dispatch = dispatch = Dispatch(config)
        m.submodules.ledger = ledger = Ledger(config)
        m.submodules.table = table = QueueTable(config)
        m.submodules.groups = groups = GroupTable(config)
        self._store(m, portals, dispatch)
        self._share_bus(m, table, groups)
        self._place(m, portals, dispatch, ledger, table)
        self._take_turns(m, dispatch, ledger, table, groups)
        ringing = self._ring(m, portals, dispatch, ledger, table)

        # By the time that the occupancy is looked at, the queue has been asked about for a clock.
        shown = Signal.like(portals.queue)
        m.d.sync += [
            shown.eq(portals.queue),
            portals.enabled.eq(Mux(control.hold, 0, ledger.enabled)),
            ledger.enter.eq(portals.fill),
            ledger.enter_queue.eq(portals.queue),
        ]
        connect(m, flipped(self.i_submission), staging.i)
        connect(m, staging.o, portals.i)
        connect(m, portals.o_verdict, staging.i_verdict)
        connect(m, staging.o_verdict, flipped(self.o_verdict))
        connect(m, portals.o_error, flipped(self.o_error))
        m.d.comb += [
            staging.staged.eq(self.staged),
            staging.enabled.eq(portals.enabled),
            portals.occupancy.eq(ledger.occupancy[shown]),
            portals.entry.eq(table.portal_entry),
            table.portal.eq(portals.queue),
            dispatch.entry.eq(table.dispatch_entry),
            table.dispatch.eq(dispatch.queue),
            table.query.eq(control.query),
            table.locked.eq(control.locked),
            table.enabled.eq(ledger.enabled),
            table.busy.eq(ledger.busy),
            table.occupancy.eq(ledger.occupancy[table.occupancy_index]),
            table.clear.eq(control.clear),
            table.clear_all.eq(control.clear_all),
            groups.locked.eq(control.locked),
            groups.clear.eq(control.clear_all),
            ledger.leave.eq(dispatch.leave),
            ledger.leave_queue.eq(dispatch.queue),
            ledger.given.eq(dispatch.given),
            ledger.engine.eq(dispatch.target),
        ]
        for outside, inside in zip(self.i_done, ledger.i_done, strict=True):
            connect(m, flipped(outside), inside)
        for name in ("affected", "open", "close", "shut", "watch"):
            m.d.comb += getattr(ledger, name).eq(getattr(control, name))
        for name in ("affected", "discard", "by_pasid", "pasid", "hold"):
            m.d.comb += getattr(dispatch, name).eq(getattr(control, name))
        m.d.comb += [
            control.entry.eq(table.query_entry),
            control.ready.eq(table.ready),
            control.enabled.eq(ledger.enabled),
            control.settled.eq(ledger.settled & ~ringing),
            control.groups.eq(groups.groups),
        ]
        return m

    def _store(self, m, portals, dispatch):
        """Slots for descriptors, and a bit beside each for the kind of portal."""
        config = self._config
        beats = config.queue_slots * DESCRIPTOR_BYTES // config.beat_bytes
        # A slot that is being filled holds nothing that Dispatch looks at, and is filled when the
        # ledger hears of it.
        m.submodules.slots = slots = BlockMemory(beats, config.data_width)
        m.submodules.kinds = kinds = BlockMemory(config.queue_slots, 1)
        m.d.sync += [
            slots.write.eq(portals.slot_write),
            slots.write_address.eq(portals.slot_address),
            slots.write_data.eq(portals.slot_data),
            kinds.write.eq(portals.slot_write),
            kinds.write_address.eq(portals.tail),
            kinds.write_data.eq(portals.slot_ims),
        ]
        m.d.comb += [
            slots.read.eq(1),
            slots.read_address.eq(dispatch.slot_address),
            dispatch.slot_data.eq(slots.read_data),
            kinds.read.eq(1),
            kinds.read_address.eq(dispatch.head),
            dispatch.slot_ims.eq(kinds.read_data),
        ]

    def _share_bus(self, m, table, groups):
        """Route the bus by address; one access is under way at a time."""
        for_table = self.csr.access.p.address >= bar0(self._config).table("wqcfg").offset
        asked = Signal()
        with m.If(self.csr.access.valid & self.csr.access.ready):
            m.d.sync += asked.eq(for_table)
        for target, chosen in ((table, 1), (groups, 0)):
            m.d.comb += [
                target.csr.access.payload.eq(self.csr.access.payload),
                target.csr.access.valid.eq(self.csr.access.valid & (for_table == chosen)),
                target.csr.result.ready.eq(self.csr.result.ready & (asked == chosen)),
            ]
        m.d.comb += [
            self.csr.access.ready.eq(
                Mux(for_table, table.csr.access.ready, groups.csr.access.ready)
            ),
            self.csr.result.valid.eq(Mux(asked, table.csr.result.valid, groups.csr.result.valid)),
            self.csr.result.payload.eq(
                Mux(asked, table.csr.result.payload, groups.csr.result.payload)
            ),
        ]

    def _place(self, m, portals, dispatch, ledger, table):
        """Give every queue its slots, and follow its descriptors through them."""
        m.submodules.rings = rings = Rings(self._config)
        m.d.comb += [
            rings.place.eq(self.control.place),
            rings.place_queue.eq(self.control.query),
            rings.base.eq(self.control.base),
            rings.size.eq(table.query_entry.size),
            rings.tail_queue.eq(portals.queue),
            rings.fill.eq(ledger.enter),
            portals.tail.eq(rings.tail),
            rings.head_queue.eq(dispatch.queue),
            rings.drop.eq(dispatch.leave),
            dispatch.head.eq(rings.head),
        ]

    def _ring(self, m, portals, dispatch, ledger, table):
        """Tell of room in queues; whether that is under way."""
        m.submodules.occupancy = occupancy = OccupancyInterrupts(self._config)
        connect(m, occupancy.o_event, flipped(self.o_event))
        replaced = ledger.enter & (ledger.enter_queue == dispatch.queue)
        m.d.comb += [
            occupancy.enabled.eq(ledger.enabled),
            occupancy.occupancy.eq(ledger.occupancy),
            occupancy.left.eq(dispatch.leave & ~replaced),
            occupancy.left_queue.eq(dispatch.queue),
            occupancy.left_entry.eq(table.dispatch_entry),
            table.scan.eq(occupancy.scan),
            occupancy.scanned.eq(table.scanned),
            occupancy.entry.eq(table.scan_entry),
            self.control.below.eq(occupancy.own),
            occupancy.acknowledge.eq(table.acknowledge),
            table.generated.eq(occupancy.generated),
        ]
        with m.If(self.control.clear_all):
            m.d.comb += occupancy.clear.eq(-1)
        with m.Elif(self.control.clear):
            m.d.comb += occupancy.clear.eq(1 << self.control.query)
        return occupancy.ringing

    def _take_turns(self, m, dispatch, ledger, table, groups):
        """Groups and their queues take turns; a queue learns its priority when it is enabled."""
        m.submodules.turns = turns = Turns(self._config)
        m.submodules.assign = assign = Assign(self._config)
        m.d.comb += [
            turns.ready.eq(dispatch.ready),
            turns.open.eq(assign.open),
            turns.take.eq(dispatch.take),
            turns.taken.eq(dispatch.queue),
            turns.taken_group.eq(dispatch.group),
            turns.load.eq(Mux(self.control.open, self.control.affected, 0)),
            turns.priority.eq(table.query_entry.priority),
            assign.group.eq(dispatch.group),
            assign.held.eq(ledger.held),
            dispatch.chosen.eq(turns.valid),
            turns.chosen.eq(dispatch.group),
            dispatch.choice.eq(turns.choice),
            dispatch.choice_group.eq(turns.group),
            dispatch.engine.eq(assign.engine),
            dispatch.filled.eq(ledger.filled),
            dispatch.running.eq(ledger.running),
        ]
        for number in range(self._config.groups):
            m.d.comb += [
                turns.members[number].eq(groups.groups[number].queues),
                assign.engines[number].eq(groups.groups[number].engines),
            ]
        # An outlet takes at once what it has been told to expect.
        m.d.comb += dispatch.o.ready.eq(1)
        for number, outside in enumerate(self.o_work):
            m.submodules[f"outlet_{number}"] = outlet = Outlet(self._config)
            connect(m, outlet.o, flipped(outside))
            m.d.comb += [
                assign.room[number].eq(outlet.room),
                outlet.i.payload.eq(dispatch.o.payload),
            ]
            with m.If(dispatch.target == number):
                m.d.comb += [
                    outlet.reserve.eq(dispatch.take),
                    outlet.i.valid.eq(dispatch.o.valid),
                ]
