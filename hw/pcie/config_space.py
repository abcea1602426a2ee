"""Configuration space: the registers, what they set, and Function Level Reset."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, Signature, connect, flipped

from ..csr.bank import RegisterBank
from ..flow.arbiter import Arbiter
from ..regs import Config, Register
from ..regs.configspace import CORRECTABLE, UNCORRECTABLE, config_space
from ..tlp.records import Request, packet_stream
from .errors import ErrorLog
from .records import ErrorReport, Settings


class ConfigAccess(data.Struct):
    """A read or write of one DW of configuration space."""

    #: Byte offset; bits 1:0 are 0.
    address: 12
    #: 1 for a write.
    write: 1
    #: Bytes concerned.
    strobe: 4
    #: Data to write; byte k in bits 8k+7:8k.
    data: 32
    #: Destination ID of the request: this function's bus, device and function number.
    destination: 16


class ConfigSignature(Signature):
    """A master's side of configuration space, used like :class:`hw.csr.bus.CsrSignature`.

    Members
    -------
    access : ``Out(stream.Signature(ConfigAccess))``
    result : ``In(stream.Signature(32))``
        One for each access.
    answered : ``Out(1)``
        High for a clock when the completion of the access has been accepted for transmission.
    turn_off : ``Out(1)``
        High for a clock when PME_Turn_Off has come, to be acknowledged.
    """

    def __init__(self):
        super().__init__(
            {
                "access": Out(stream.Signature(ConfigAccess)),
                "result": In(stream.Signature(32)),
                "answered": Out(1),
                "turn_off": Out(1),
            }
        )


class ConfigSpace(Component):
    """Configuration space of the function, with error reporting inside.

    **Timing**: a result is valid 2 clocks after the access was taken. ``flr`` is high for one
    clock, after the completion of the write that asked for it was accepted for transmission; the
    registers have their reset values on the next clock. Bus Master Enable in ``settings`` is off
    from the write on.

    **Errors**: a power state that does not exist (D1, D2) is not entered. Codes of Max_Payload_Size
    and Max_Read_Request_Size beyond what the device supports count as the most it supports.

    Parameters
    ----------
    config
        Parameters of the device.

    Members
    -------
    config : ``In(ConfigSignature())``
    i_error : ``In(stream.Signature(ErrorReport)).array(3)``
        Reports from whoever finds errors, in any order.
    o_message_request : ``Out(packet_stream(Request, data_width))``
        Error messages and PME_TO_Ack, for the posted side of the transmitter. They need no Bus
        Master Enable.
    settings : ``Out(Settings)``
    bar0, bar2 : ``Out(64)``
        Base addresses.
    flr : ``Out(1)``
    transactions_pending : ``In(1)``
        Requests are out whose completions have not come.
    received_master_abort, received_target_abort : ``In(1)``
        A completion came with status UR, or CA; one clock each.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "config": In(ConfigSignature()),
                "i_error": In(stream.Signature(ErrorReport)).array(3),
                "o_message_request": Out(packet_stream(Request, config.data_width)),
                "settings": Out(Settings),
                "bar0": Out(64),
                "bar2": Out(64),
                "flr": Out(1),
                "transactions_pending": In(1),
                "received_master_abort": In(1),
                "received_target_abort": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        space = config_space(self._config)
        logs = [f"aer_header_{k}" for k in range(4)] + [f"aer_prefix_{k}" for k in range(4)]
        m.submodules.bank = bank = RegisterBank(
            [item for item in space if isinstance(item, Register)],
            inputs=[
                "device_control.transactions_pending",
                "aer_control.first_error",
                "aer_control.prefix_present",
                *(f"{name}.dw" for name in logs),
            ],
            locks=["pm_control"],
            signature=ConfigSignature(),
        )
        connect(m, flipped(self.config), bank.csr)
        access = self.config.access
        no_state = Signal()
        reset_asked = Signal()
        routing_id = Signal(16)
        with m.If(access.valid & access.ready):
            # D1 and D2 do not exist, so a write of either leaves the state as it is.
            m.d.sync += no_state.eq(access.p.data[0] ^ access.p.data[1])
            with m.If(access.p.write):
                m.d.sync += routing_id.eq(access.p.destination)
        with m.If(bank.device_control_written & bank.device_control_flr):
            m.d.sync += reset_asked.eq(1)
        m.d.sync += self.flr.eq(reset_asked & self.config.answered)
        with m.If(self.flr):
            m.d.sync += reset_asked.eq(0)
        m.d.comb += [
            bank.pm_control_locked.eq(no_state),
            bank.reset.eq(self.flr),
            bank.device_control_transactions_pending.eq(self.transactions_pending),
            self.settings.routing_id.eq(routing_id),
        ]
        self._settings(m, bank, reset_asked)
        for name, base in (("bar0", self.bar0), ("bar2", self.bar2)):
            low, high = space.register(name)["address"], space.register(f"{name}_high")["address"]
            m.d.comb += [
                base[low.lsb : 32].eq(getattr(bank, f"{name}_address")),
                base[32 + high.lsb :].eq(getattr(bank, f"{name}_high_address")),
            ]
        self._errors(m, bank)
        return m

    def _settings(self, m, bank, reset_asked):
        settings = self.settings
        awake = bank.pm_control_state == 0
        sizes = [128, 256, 512, 1024, 2048, 4096]
        for code, port, most in [
            (
                bank.device_control_max_payload,
                settings.max_payload_bytes,
                self._config.max_payload_bytes,
            ),
            (bank.device_control_max_read, settings.max_read_bytes, 4096),
        ]:
            with m.Switch(code):
                for value, size in enumerate(sizes):
                    with m.Case(value):
                        m.d.sync += port.eq(min(size, most))
                with m.Default():
                    m.d.sync += port.eq(most)
        m.d.sync += [
            settings.memory_space.eq(bank.command_memory_space & awake),
            # Nothing more is sent between the write that asks for a reset and the reset itself.
            settings.bus_master.eq(bank.command_bus_master & awake & ~reset_asked),
        ]
        m.d.comb += [
            settings.extended_tag.eq(bank.device_control_extended_tag),
            settings.timeout_disable.eq(bank.device_control_2_timeout_disable),
            settings.msix_enable.eq(bank.msix_enable),
            settings.function_mask.eq(bank.msix_function_mask),
            settings.pasid_enable.eq(bank.pasid_control_enable),
            settings.pasid_privileged.eq(bank.pasid_control_enable & bank.pasid_control_privileged),
        ]

    def _errors(self, m, bank):
        m.submodules.reports = reports = Arbiter(ErrorReport, len(self.i_error))
        m.submodules.log = log = ErrorLog(self._config.data_width)
        for port, source in zip(reports.i, self.i_error, strict=True):
            connect(m, flipped(source), port)
        connect(m, reports.o, log.i)
        connect(m, log.o_message_request, flipped(self.o_message_request))
        for name, bit in UNCORRECTABLE.items():
            m.d.comb += [
                log.uncorrectable[bit].eq(getattr(bank, f"aer_uncorrectable_{name}")),
                log.mask[bit].eq(getattr(bank, f"aer_uncorrectable_mask_{name}")),
                log.severity[bit].eq(getattr(bank, f"aer_severity_{name}")),
                getattr(bank, f"aer_uncorrectable_{name}_set").eq(log.uncorrectable_set[bit]),
            ]
        assert list(CORRECTABLE) == ["advisory"]
        m.d.comb += [
            log.routing_id.eq(self.settings.routing_id),
            log.turn_off.eq(self.config.turn_off),
            log.correctable_enable.eq(bank.device_control_correctable),
            log.non_fatal_enable.eq(bank.device_control_non_fatal),
            log.fatal_enable.eq(bank.device_control_fatal),
            log.unsupported_enable.eq(bank.device_control_unsupported),
            log.serr_enable.eq(bank.command_serr),
            log.advisory_mask.eq(bank.aer_correctable_mask_advisory),
            bank.aer_correctable_advisory_set.eq(log.advisory_set),
            bank.device_control_correctable_detected_set.eq(log.correctable_set),
            bank.device_control_non_fatal_detected_set.eq(log.non_fatal_set),
            bank.device_control_fatal_detected_set.eq(log.fatal_set),
            bank.device_control_unsupported_detected_set.eq(log.unsupported_set),
            bank.command_signaled_error_set.eq(log.signaled_error_set),
            bank.command_signaled_abort_set.eq(log.signaled_abort_set),
            bank.command_parity_error_set.eq(log.parity_error_set),
            bank.command_master_data_parity_set.eq(
                log.master_parity_set & bank.command_parity_response
            ),
            bank.command_received_master_abort_set.eq(self.received_master_abort),
            bank.command_received_target_abort_set.eq(self.received_target_abort),
            bank.aer_control_first_error.eq(log.first_error),
            bank.aer_control_prefix_present.eq(log.prefix_present),
            bank.aer_prefix_0_dw.eq(log.prefix),
        ]
        for index, dw in enumerate(log.header):
            m.d.comb += getattr(bank, f"aer_header_{index}_dw").eq(dw)
