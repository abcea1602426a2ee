"""Values of the read-only registers of BAR0, derived from the parameters."""

from .bar0 import EXTENSION_TYPE, EXTENSION_VERSION, PERFMON_PAGE, TABLE_UNIT, bar0
from .commands import COMMANDS_IMPLEMENTED
from .config import IMS_UNIT, Config
from .descriptor import OPERATIONS_IMPLEMENTED

WORK_IN_PROGRESS = 16
"""Descriptors that an engine works on at once."""

VERSION_MAJOR = 2
VERSION_MINOR = 0


def constants(config: Config) -> dict[str, int]:
    """Register name to value, for every register of BAR0 that never changes."""
    space = bar0(config)
    fields: dict[str, dict[str, int]] = {
        "version": {"major": VERSION_MAJOR, "minor": VERSION_MINOR},
        "gencap": {
            "command_capabilities": 1,
            "event_log": 1,
            "event_log_overflow": 1,
            "single_entry_batch": 1,
            "max_transfer_log2": config.max_transfer_log2,
            "max_batch_log2": config.max_batch_log2,
            "ims_size": config.ims_vectors // IMS_UNIT,
            "configurable": 1,
        },
        "wqcap": {
            "total_size": config.queue_slots,
            "queues": config.queues,
            "config_size_log2": 1,
            "shared": 1,
            "dedicated": 1,
            "priority": 1,
            "occupancy": 1,
            "occupancy_interrupt": 1,
            "operation_config": 1,
        },
        "grpcap": {
            "groups": config.groups,
            "read_buffers": min(config.tags, 255),
            "read_buffer_control": 1,
        },
        "engcap": {
            "engines": config.engines,
            "work_in_progress": WORK_IN_PROGRESS,
            "batch_in_progress": 1,
        },
        "opcap": {"operations": OPERATIONS_IMPLEMENTED},
        "offsets": {
            name: space.table(name).offset // TABLE_UNIT
            for name in ("grpcfg", "wqcfg", "msixperm", "ims")
        }
        | {"perfmon": PERFMON_PAGE // TABLE_UNIT},
        "cmdcap": {"commands": COMMANDS_IMPLEMENTED},
        "ext_id": {"type": EXTENSION_TYPE, "version": EXTENSION_VERSION},
        "ext_features": {"staged_submission": 1},
        "ext_window": {"base": config.message_window},
        "ext_msix": {"vectors": config.msix_vectors},
        "ext_ims": {"vectors": config.ims_vectors},
    }
    return {name: space.register(name).pack(**values) for name, values in fields.items()}
