"""The model's message storage: every entry, every rule (DSA §9.2.28, PCIe Base 6.x §6.1.4)."""

import random

import pytest

from hw.regs.config import Config
from sim.model.messages import IGNORE, MASK, PENDING, MessageStore

SMALL = Config(ims_vectors=256, msix_vectors=4)
TABLES = [True, False]


class Store:
    """A store that is switched on, and what it sent."""

    def __init__(self, config=SMALL):
        self.sent = []
        self.store = MessageStore(config, lambda address, data: self.sent.append((address, data)))
        self.store.settings(enable=True, function_mask=False, bus_master=True)
        self.base = config.message_window

    def program(self, ims, index, number, control=0):
        """Address and data of an entry made from a number, and its control word."""
        window = self.store.windows["ims" if ims else "msix"]
        at = window.start + 16 * index
        message = (self.base + 4 * number, number ^ 0xFFFF_FFFF)
        self.store.write(at, message[0], (1 << 64) - 1)
        self.store.write(at + 8, message[1] | (control & (~0 if ims else 1)) << 32, (1 << 64) - 1)
        if not ims:
            at = self.store.windows["msixperm"].start + 8 * index
            self.store.write(at, control, (1 << 64) - 1)
        return message

    def control(self, ims, index, value):
        """Write only the control DW."""
        window = self.store.windows["ims" if ims else "msix"]
        self.store.write(window.start + 16 * index + 8, value << 32, 0xFFFF_FFFF << 32)

    def pending(self, ims, index):
        if ims:
            word = self.store.read(self.store.windows["ims"].start + 16 * index + 8)
            return word >> 33 & 1
        return self.store.read(self.store.windows["pba"].start + index // 64 * 8) >> index % 64 & 1


@pytest.mark.parametrize("ims", TABLES)
def test_every_entry_sends_its_own_message(ims):
    store = Store(Config(ims_vectors=16128, msix_vectors=2048))
    count = 16128 if ims else 2048
    expected = [store.program(ims, index, index) for index in range(count)]
    for index in range(count):
        store.store.event(ims, index, completion=True)
    assert store.sent == expected


@pytest.mark.parametrize("ims", TABLES)
def test_every_entry_starts_masked(ims):
    store = Store()
    for index in range(256 if ims else 4):
        store.store.event(ims, index, completion=True)
        assert store.pending(ims, index) == 1
    assert store.sent == []


@pytest.mark.parametrize("ims", TABLES)
def test_masked_event_is_sent_once_at_unmask(ims):
    store = Store()
    message = store.program(ims, 3, 7, MASK)
    for _ in range(5):
        store.store.event(ims, 3, completion=True)
    assert store.sent == [] and store.pending(ims, 3)
    store.control(ims, 3, 0)
    assert store.sent == [message] and not store.pending(ims, 3)
    store.control(ims, 3, MASK)
    store.control(ims, 3, 0)
    assert store.sent == [message]


@pytest.mark.parametrize("ims", TABLES)
def test_entry_reprogrammed_while_masked_sends_the_new_message(ims):
    store = Store()
    store.program(ims, 2, 7, MASK)
    store.store.event(ims, 2, completion=True)
    message = store.program(ims, 2, 9, MASK)
    store.control(ims, 2, 0)
    assert store.sent == [message]


@pytest.mark.parametrize("ims", TABLES)
def test_ignore_drops_completions_and_nothing_else(ims):
    store = Store()
    message = store.program(ims, 1, 7, IGNORE)
    store.store.event(ims, 1, completion=True)
    assert store.sent == [] and not store.pending(ims, 1)
    store.store.event(ims, 1, completion=False)
    assert store.sent == [message]


@pytest.mark.parametrize("ims", TABLES)
def test_ignore_does_not_hold_back_what_is_pending(ims):
    store = Store()
    message = store.program(ims, 1, 7, MASK)
    store.store.event(ims, 1, completion=True)
    store.program(ims, 1, 7, MASK | IGNORE)
    store.program(ims, 1, 7, IGNORE)
    assert store.sent == [message]


def test_pending_is_read_only():
    store = Store()
    store.program(True, 1, 7, MASK | PENDING)
    assert not store.pending(True, 1)
    store.store.event(True, 1, completion=True)
    store.program(True, 1, 7, MASK)
    assert store.pending(True, 1)
    store.store.write(store.store.windows["pba"].start, 0, (1 << 64) - 1)
    store.store.write(store.store.windows["pba"].start, 0xF, (1 << 64) - 1)
    assert store.store.read(store.store.windows["pba"].start) == 0


@pytest.mark.parametrize(
    "address",
    [0, 0xFED0_0000, 0xFEF0_0000, 0x1_FEE0_0000, 0xFEE0_0000_0000_0000, (1 << 64) - 4],
)
def test_address_outside_the_window_is_ignored_whole(address):
    store = Store()
    message = store.program(True, 5, 7)
    at = store.store.windows["ims"].start + 16 * 5
    store.store.write(at, address, (1 << 64) - 1)
    assert store.store.read(at) == message[0]


def test_high_half_of_an_address_cannot_leave_the_window():
    store = Store()
    at = store.store.windows["ims"].start
    store.store.write(at, 1 << 32, 0xFFFF_FFFF << 32)
    store.store.write(at, 0xFEE1_2345, 0xFFFF_FFFF)
    assert store.store.read(at) == 0xFEE1_2344


def test_msix_address_goes_anywhere():
    store = Store()
    at = store.store.windows["msix"].start
    store.store.write(at, 0x1234_5678_9ABC_DEF3, (1 << 64) - 1)
    assert store.store.read(at) == 0x1234_5678_9ABC_DEF0


def test_window_is_a_parameter():
    store = Store(Config(ims_vectors=256, message_window=0x12_3450_0000))
    at = store.store.windows["ims"].start
    assert store.store.read(at) == 0x12_3450_0000
    store.store.write(at, 0xFEE0_1000, (1 << 64) - 1)
    assert store.store.read(at) == 0x12_3450_0000
    store.store.write(at, 0x12_345F_FFFC, (1 << 64) - 1)
    assert store.store.read(at) == 0x12_345F_FFFC


@pytest.mark.parametrize("ims", TABLES)
@pytest.mark.parametrize("owner", [None, 0, 5, 0xF_FFFF])
def test_check_compares_enable_and_pasid(ims, owner):
    store = Store()
    store.program(ims, 2, 7, 0 if owner is None else 8 | owner << 12)
    for pasid in (0, 4, 5, 0xF_FFFF):
        assert store.store.check(ims, 2, pasid, True) == (owner == pasid)
        assert store.store.check(ims, 2, pasid, False) == (owner is None)


@pytest.mark.parametrize(("ims", "index"), [(True, 256), (False, 4), (True, -1)])
def test_check_of_an_entry_that_is_none(ims, index):
    assert not Store().store.check(ims, index, 0, False)


@pytest.mark.parametrize("what", ["enable", "function_mask", "bus_master"])
def test_msix_is_held_by_each_switch_and_released_by_it(what):
    store = Store()
    message = store.program(False, 1, 7)
    on = {"enable": True, "function_mask": False, "bus_master": True}
    store.store.settings(**on | {what: not on[what]})
    store.store.event(False, 1, completion=True)
    assert store.sent == [] and store.pending(False, 1)
    store.store.settings(**on)
    assert store.sent == [message] and not store.pending(False, 1)


@pytest.mark.parametrize("what", ["enable", "function_mask"])
def test_ims_does_not_depend_on_msix(what):
    store = Store()
    message = store.program(True, 1, 7)
    on = {"enable": True, "function_mask": False, "bus_master": True}
    store.store.settings(**on | {what: not on[what]})
    store.store.event(True, 1, completion=True)
    assert store.sent == [message]


def test_ims_is_held_while_bus_master_is_off():
    store = Store()
    message = store.program(True, 1, 7)
    store.store.settings(enable=True, function_mask=False, bus_master=False)
    store.store.event(True, 1, completion=True)
    assert store.sent == [] and store.pending(True, 1)
    store.store.settings(enable=True, function_mask=False, bus_master=True)
    assert store.sent == [message]


@pytest.mark.parametrize("seed", range(20))
def test_no_event_is_lost_or_doubled(seed):
    """Random traffic against counts: each event is sent, or merged with one that was pending."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    store = Store()
    merged = sent = dropped = events = 0
    state = {}
    for _ in range(3000):
        ims = rng.random() < 0.7
        index = rng.randrange(4)
        mask, ignore, held = state.get((ims, index), (1, 0, 0))
        before = len(store.sent)
        if rng.random() < 0.5:
            events += 1
            store.store.event(ims, index, completion=True)
            if ignore:
                dropped += 1
            elif mask:
                merged += held
                held = 1
            else:
                sent += 1
        else:
            mask, ignore = rng.randrange(2), rng.randrange(2)
            message = store.program(ims, index, rng.randrange(1 << 18), mask | ignore << 2)
            if held and not mask:
                held, sent = 0, sent + 1
                assert store.sent[-1] == message
        state[ims, index] = (mask, ignore, held)
        assert len(store.sent) - before <= 1
        assert store.pending(ims, index) == held
    assert len(store.sent) == sent
    assert events == sent + merged + dropped + sum(held for _, _, held in state.values())
