"""What is wrong with a descriptor (DSA §5.4, §5.5)."""

import functools
import operator

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from ..queues.records import Work
from ..regs.descriptor import (
    DESCRIPTOR,
    DESCRIPTOR_BYTES,
    LAYOUTS,
    Flag,
    Opcode,
    Status,
)
from .overlap import Overlap
from .rules import (
    COMMON_FLAGS,
    DUALCAST_BITS,
    NEED_ADDRESS,
    OPERATIONS,
    RULES,
    alignments,
    overlaps,
    reserved_groups,
    where,
)

CHECK_CLOCKS = 4
"""Clocks from a descriptor to its fault."""

_ADDRESSES = tuple(DESCRIPTOR[name].lsb for name in ("source", "destination", "specific"))
_RESERVED_TRUSTED = slice(20, 31)


def _of(index, chosen):
    """Whether the operation with this index is one of those chosen."""
    bits = [opcode in set(chosen) for opcode in OPERATIONS]
    if all(bits):
        return Const(1)
    return Const(sum(bit << k for k, bit in enumerate(bits)), len(bits)).bit_select(index, 1)


def _by(chosen):
    """Operations whose rule is as ``chosen`` says."""
    return [opcode for opcode, rule in RULES.items() if chosen(rule)]


def _with(name):
    """Operations whose descriptors have this field."""
    return [code for code in OPERATIONS if any(f.name == name for f in LAYOUTS[code].fields)]


def _mask(index, flags):
    """The flags that the operation's rule has, as ``flags`` takes them from a rule."""
    return Cat(_of(index, _by(lambda rule, bit=bit: flags(rule) >> bit & 1)) for bit in range(24))


def _beyond(value, limit_log2):
    """Whether ``value`` is greater than a power of two."""
    return value[limit_log2 + 1 :].any() | (value[limit_log2] & value[:limit_log2].any())


class Checks(Component):
    """Hold a descriptor against :data:`hw.engine.rules.RULES`.

    Of several faults the first in this order is reported: completion address alignment, opcode,
    flags, reserved fields, privilege, transfer size, descriptor count, list alignment, size of a
    delta record, address alignment, alignment of two destinations, overlap.

    **Timing**: right from the fourth clock after ``begin`` on, as long as the inputs stay as they
    are. Each step works on what the one before it has registered, so nothing is held but overlap.

    Members
    -------
    begin : ``In(1)``
        Pulse: there is a new descriptor.
    words : ``In(512)``
        The descriptor.
    header : ``In(Work)``
        What its queue, or its batch, says of it.
    user_interrupts, pasid_privileged : ``In(1)``
        See :class:`hw.engine.decode.Decode`.
    mute : ``Out(1)``
        The descriptor may not ask for an interrupt. Right at once.
    fault : ``Out(8)``
        :class:`hw.regs.descriptor.Status`, or 0.
    invalid_flags : ``Out(24)``
        If ``fault`` is BAD_FLAGS: all flags that are set and may not be, or are not and must be.
    """

    def __init__(self):
        super().__init__(
            {
                "begin": In(1),
                "words": In(8 * DESCRIPTOR_BYTES),
                "header": In(Work),
                "user_interrupts": In(1),
                "pasid_privileged": In(1),
                "mute": Out(1),
                "fault": Out(8),
                "invalid_flags": Out(24),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tenant, misaligned = self.header.tenant, Signal()
        index, exact = Signal(range(len(OPERATIONS))), Signal()
        m.d.comb += self.mute.eq(tenant.valid & ~tenant.privileged & ~self.user_interrupts)
        m.d.sync += [
            exact.eq(0),
            misaligned.eq(self._flag(Flag.COMPLETION_ADDRESS_VALID) & self._address[:5].any()),
        ]
        with m.Switch(self._field("opcode")):
            for number, code in enumerate(OPERATIONS):
                with m.Case(code):
                    m.d.sync += [index.eq(number), exact.eq(1)]
        privilege = self.header.shared & tenant.privileged & ~self.pasid_privileged
        wrong_flags = self._flags(m, index)
        wrong_size, wrong_record = self._sizes(m, index)
        misplaced, unlike = self._alignments(m, index)
        sized, counted, delta = Signal(), Signal(), Signal()
        m.d.sync += [
            sized.eq(_of(index, _with("size_bytes"))),
            counted.eq(_of(index, _with("count"))),
            delta.eq(_of(index, _by(lambda rule: rule.least_bytes))),
        ]
        found = (
            (misaligned, Status.COMPLETION_ALIGNMENT),
            (self._unknown(m, index, exact), Status.BAD_OPCODE),
            (wrong_flags, Status.BAD_FLAGS),
            (self._reserved(m, index), Status.RESERVED_NOT_ZERO),
            (privilege, Status.PRIVILEGE),
            (wrong_size & sized, Status.BAD_TRANSFER_SIZE),
            (wrong_size & counted, Status.BAD_DESCRIPTOR_COUNT),
            (misplaced & counted, Status.LIST_ALIGNMENT),
            (wrong_record & delta, Status.BAD_VALUE),
            (misplaced, Status.ADDRESS_ALIGNMENT),
            (unlike, Status.DUALCAST_ALIGNMENT),
        )
        fault, clean = Signal(8), Signal()
        m.d.sync += [fault.eq(0), clean.eq(1)]
        for wrong, status in reversed(found):
            with m.If(wrong):
                m.d.sync += [fault.eq(status), clean.eq(0)]
        near = self._overlap(m, index)
        m.d.comb += self.fault.eq(fault | Mux(clean & near, Status.OVERLAP, 0))
        return m

    def _field(self, name):
        return self.words[DESCRIPTOR[name].lsb : DESCRIPTOR[name].msb + 1]

    @property
    def _address(self):
        return self._field("completion_address")

    def _flag(self, flag):
        """Whether one flag is set."""
        return (self._field("flags") & flag).any()

    def _unknown(self, m, index, exact):
        """Not an operation, or not one for this queue, or not one for a batch."""
        unknown, header = Signal(), self.header
        batched = _of(index, _by(lambda rule: rule.batched))
        allowed = header.operations.bit_select(index, 1) & (batched | ~header.member)
        m.d.sync += unknown.eq(~(exact & allowed))
        return unknown

    def _flags(self, m, index):
        """Name the invalid flags; whether there are any."""
        flags, invalid = self._field("flags"), Signal()
        one_of = _mask(index, lambda rule: rule.one_of)
        reserved = [(~self._flag(Flag.COMPLETION_ADDRESS_VALID), NEED_ADDRESS)]
        reserved += [(~self.header.member, Flag.FENCE), (self.mute, Flag.REQUEST_INTERRUPT)]
        needs = [pair for rule in RULES.values() for pair in rule.needs.items()]
        for flag, other in dict.fromkeys(needs):
            users = _by(lambda rule, flag=flag, other=other: rule.needs.get(flag) == other)
            reserved.append((~self._flag(other) & _of(index, users), flag))
        m.d.sync += [
            self.invalid_flags.eq(
                (flags & ~_mask(index, lambda rule: rule.flags | COMMON_FLAGS))
                | (flags & functools.reduce(operator.or_, (Mux(c, int(f), 0) for c, f in reserved)))
                | (~flags & _mask(index, lambda rule: rule.required))
                | Mux((one_of & flags).any(), 0, one_of)
            ),
            invalid.eq(self.invalid_flags.any()),
        ]
        return invalid

    def _reserved(self, m, index):
        """Whether a reserved field is not 0."""
        flags, trusted = self._field("flags"), Signal()
        found = []
        for conditions, places in reserved_groups().items():
            used = Signal()
            m.d.sync += used.eq(Cat(self.words[bit] for bit in places).any())
            for mask, value in sorted({pair for pair in conditions if pair is not None}):
                codes = [
                    code
                    for code, pair in zip(OPERATIONS, conditions, strict=True)
                    if pair == (mask, value)
                ]
                found.append(used & ((flags & mask) == value) & _of(index, codes))
        reserved = Signal()
        own = self.header.shared & ~self.header.member
        m.d.sync += [
            trusted.eq(own & self.words[_RESERVED_TRUSTED].any()),
            reserved.eq(trusted | Cat(found).any()),
        ]
        return reserved

    def _sizes(self, m, index):
        """Whether the sizes of the transfer, and of a delta record, are bad."""
        size, header, record = self._field("size_bytes"), self.header, Signal(32)
        limit, beyond, small = Signal(32), Signal(), []
        counts = _of(index, _with("count"))
        for code, rule in RULES.items():
            chosen = _of(index, [code])
            for name, least in rule.least_bytes.items():
                small.append(chosen & (record < least))
                with m.If(chosen):
                    m.d.sync += record.eq(self.words[where(code, name)])
        own_limits = [
            _of(index, [code]) & _beyond(size, rule.limit_bytes.bit_length() - 1)
            for code, rule in RULES.items()
            if rule.limit_bytes is not None
        ]
        m.d.sync += [
            limit.eq(1 << Mux(counts, header.max_batch_log2, header.max_transfer_log2)),
            beyond.eq(Cat(own_limits).any()),
        ]
        wrong_size, wrong_record, digits = Signal(), Signal(), Signal(7)
        m.d.sync += [
            wrong_size.eq((size == 0) | beyond | (size > limit)),
            wrong_record.eq((record > limit) | record[0] | Cat(small).any()),
            digits.eq(sum(record.word_select(k, 4) for k in range(8))),
        ]
        # A multiple of 10 is even, and a multiple of 5. 16 is 1 modulo 5, so a number leaves the
        # same rest as the sum of its digits in base 16.
        fives = Cat((digits[:4] + digits[4:]) == k for k in range(0, 25, 5)).any()
        return wrong_size, wrong_record | ~fives

    def _alignments(self, m, index):
        """Whether something is not aligned; whether two destinations differ in their low bits."""
        misplaced, unlike = Signal(), Signal()
        first, second = (
            self.words[where(Opcode.DUALCAST, name)][:DUALCAST_BITS]
            for name in ("destination", "destination_2")
        )
        m.d.sync += [
            misplaced.eq(
                Cat(
                    self.words[start : start + width].any() & _of(index, codes)
                    for (start, width), codes in alignments().items()
                ).any()
            ),
            unlike.eq((first != second) & _of(index, [Opcode.DUALCAST])),
        ]
        return misplaced, unlike

    def _overlap(self, m, index):
        """Whether memory that has to be apart overlaps."""
        m.submodules.overlap = overlap = Overlap()
        pairs = overlaps()
        sizes = (overlap.first_bytes, overlap.second_bytes)
        m.d.comb += [bytes_.eq(self._field("size_bytes")) for bytes_ in sizes]
        for code, names in dict.fromkeys(
            pair for codes in pairs.values() for pair in codes.items()
        ):
            chosen = Signal()
            m.d.sync += chosen.eq(self._field("opcode") == code)
            for bytes_, name in zip(sizes, names, strict=True):
                if name != "size_bytes":
                    with m.If(chosen):
                        m.d.comb += bytes_.eq(self.words[where(code, name)])
        for port, start in zip(overlap.address, _ADDRESSES, strict=True):
            m.d.comb += port.eq(self.words[start : start + 64])
        places = [(_ADDRESSES[a], _ADDRESSES[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
        m.d.comb += [
            overlap.begin.eq(self.begin),
            overlap.wanted.eq(Cat(_of(index, pairs[place]) for place in places)),
        ]
        return overlap.found
