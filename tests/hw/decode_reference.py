"""What is wrong with a descriptor, in plain Python, written from the specification's tables.

Nothing here comes from the rules that the gateware is made from but the names of status codes.
"""

from dataclasses import dataclass

from hw.regs.descriptor import Status

NOP, BATCH, DRAIN, MOVE, FILL, COMPARE, PATTERN, CREATE, APPLY, DUALCAST = range(10)
CRC, COPY_CRC, FLUSH = 0x10, 0x11, 0x20
OPERATIONS = (*range(10), CRC, COPY_CRC, FLUSH)

FENCE, VALID, RECORD, INTERRUPT = 0, 2, 3, 4
CHECK, ADDRESS_1, ADDRESS_2, ADDRESS_3, RECORD_CLASS, STRICT = 7, 9, 10, 11, 12, 13
READ_SEED = 16

COMMON = {FENCE, VALID, RECORD, INTERRUPT, RECORD_CLASS}

# Table 5-3 without what GENCAP denies, and the operation-specific flags of §8.3.
ALLOWED = {
    NOP: set(),
    BATCH: {ADDRESS_1},
    DRAIN: {18, 19},
    MOVE: {STRICT, ADDRESS_1, ADDRESS_2},
    FILL: {STRICT, ADDRESS_2},
    COMPARE: {CHECK, ADDRESS_1, ADDRESS_2},
    PATTERN: {CHECK, ADDRESS_1},
    CREATE: {CHECK, STRICT, ADDRESS_1, ADDRESS_2, ADDRESS_3},
    APPLY: {STRICT, ADDRESS_1, ADDRESS_2},
    DUALCAST: {STRICT, ADDRESS_1, ADDRESS_2, ADDRESS_3},
    CRC: {ADDRESS_1, ADDRESS_3, 16, 17, 18},
    COPY_CRC: {STRICT, ADDRESS_1, ADDRESS_2, ADDRESS_3, 16, 17, 18},
    FLUSH: {STRICT, ADDRESS_2},
}

# Table 5-3, last column; for Drain also the readback addresses, for CRC as §8.3.12 has it.
RESERVED_BYTES = {
    NOP: (range(16, 36), range(38, 64)),
    BATCH: (range(24, 32), range(38, 64)),
    DRAIN: (range(16, 36), range(38, 64)),
    MOVE: (range(38, 64),),
    FILL: (range(38, 64),),
    COMPARE: (range(38, 40), range(41, 64)),
    PATTERN: (range(38, 40), range(41, 64)),
    CREATE: (range(38, 40), range(52, 56), range(57, 64)),
    APPLY: (range(38, 40), range(44, 64)),
    DUALCAST: (range(38, 40), range(48, 64)),
    CRC: (range(24, 32), range(38, 40), range(44, 48), range(56, 64)),
    COPY_CRC: (range(38, 40), range(44, 48), range(56, 64)),
    FLUSH: (range(16, 24), range(38, 64)),
}

NEED_RECORD = {COMPARE, PATTERN, CREATE, CRC, COPY_CRC}
WITH_SIZE = set(OPERATIONS) - {NOP, BATCH, DRAIN}


@dataclass
class Around:
    """What is known of a descriptor besides its 64 bytes."""

    shared: bool = True
    pasid_valid: bool = True
    privileged: bool = False
    member: bool = False
    max_transfer_log2: int = 21
    max_batch_log2: int = 5
    operations: tuple[int, ...] = OPERATIONS
    user_interrupts: bool = True
    pasid_privileged: bool = True


def number(word: int, byte: int, size: int) -> int:
    """Bytes of a descriptor as a number."""
    return word >> 8 * byte & (1 << 8 * size) - 1


def invalid_flags(word: int, around: Around) -> int:
    """Every flag that is wrong."""
    opcode = number(word, 7, 1)
    bits = {bit for bit in range(24) if number(word, 4, 3) >> bit & 1}
    wrong = bits - COMMON - ALLOWED[opcode]
    if VALID not in bits:
        wrong |= bits & {RECORD, RECORD_CLASS}
    if not around.member:
        wrong |= bits & {FENCE}
    if around.pasid_valid and not around.privileged and not around.user_interrupts:
        wrong |= bits & {INTERRUPT}
    if opcode in (CRC, COPY_CRC) and READ_SEED not in bits:
        wrong |= bits & {ADDRESS_3}
    if opcode in NEED_RECORD:
        wrong |= {VALID, RECORD} - bits
    if opcode == DRAIN and not bits & {RECORD, INTERRUPT}:
        wrong |= {RECORD, INTERRUPT}
    return sum(1 << bit for bit in wrong)


def _reserved(word: int, around: Around) -> bool:
    opcode, flags = number(word, 7, 1), number(word, 4, 3)
    if any(number(word, byte, 1) for part in RESERVED_BYTES[opcode] for byte in part):
        return True
    if around.shared and not around.member and word >> 20 & 0x7FF:
        return True
    if not flags >> VALID & 1 and number(word, 8, 8):
        return True
    if not flags >> INTERRUPT & 1 and number(word, 36, 2):
        return True
    if opcode in (CRC, COPY_CRC):
        seed, seed_address = number(word, 40, 4), number(word, 48, 8)
        return bool(seed if flags >> READ_SEED & 1 else seed_address)
    return False


def overlap(first: int, first_bytes: int, second: int, second_bytes: int) -> bool:
    """Whether two runs of bytes share one, with addresses modulo 2^64."""
    if not first_bytes or not second_bytes:
        return False
    ahead = (second - first) % (1 << 64)
    return ahead < first_bytes or ahead > (1 << 64) - second_bytes


def _runs(word: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Memory read and written, as (address, bytes), where overlap matters."""
    opcode, size = number(word, 7, 1), number(word, 32, 4)
    first, second, third = (number(word, byte, 8) for byte in (16, 24, 40))
    return {
        MOVE: ([(first, size)], [(second, size)]),
        COPY_CRC: ([(first, size)], [(second, size)]),
        DUALCAST: ([(first, size)], [(second, size), (third, size)]),
        CREATE: ([(first, size), (second, size)], [(third, number(word, 48, 4))]),
        APPLY: ([(first, number(word, 40, 4))], [(second, size)]),
    }.get(opcode, ([], []))


def _contents(word: int, around: Around) -> Status:
    """The checks of sizes and addresses."""
    opcode, size = number(word, 7, 1), number(word, 32, 4)
    first, second, third = (number(word, byte, 8) for byte in (16, 24, 40))
    limit = 1 << around.max_transfer_log2
    if opcode in WITH_SIZE:
        most = min(limit, 0x80000) if opcode in (CREATE, APPLY) else limit
        if not 1 <= size <= most:
            return Status.BAD_TRANSFER_SIZE
    if opcode == BATCH:
        if not 1 <= size <= 1 << around.max_batch_log2:
            return Status.BAD_DESCRIPTOR_COUNT
        if first % 64:
            return Status.LIST_ALIGNMENT
    if opcode in (CREATE, APPLY):
        record = number(word, 48 if opcode == CREATE else 40, 4)
        if record % 10 or record > limit or record < (80 if opcode == CREATE else 10):
            return Status.BAD_VALUE
        if second % 8 or size % 8 or (opcode == CREATE and first % 8):
            return Status.ADDRESS_ALIGNMENT
    if opcode in (CRC, COPY_CRC) and number(word, 48, 8) % 4:
        return Status.ADDRESS_ALIGNMENT
    if opcode == DUALCAST and (second ^ third) % 4096:
        return Status.DUALCAST_ALIGNMENT
    read, written = _runs(word)
    for index, run in enumerate(written):
        if any(overlap(*run, *other) for other in [*read, *written[:index]]):
            return Status.OVERLAP
    return Status.NONE


def verdict(word: int, around: Around) -> tuple[Status, int]:
    """The first fault, and all invalid flags if that is what it is."""
    opcode = number(word, 7, 1)
    if number(word, 4, 3) >> VALID & 1 and number(word, 8, 8) % 32:
        return Status.COMPLETION_ALIGNMENT, 0
    if opcode not in OPERATIONS or opcode not in around.operations:
        return Status.BAD_OPCODE, 0
    if around.member and opcode in (BATCH, DRAIN):
        return Status.BAD_OPCODE, 0
    if invalid := invalid_flags(word, around):
        return Status.BAD_FLAGS, invalid
    if _reserved(word, around):
        return Status.RESERVED_NOT_ZERO, 0
    if around.shared and around.privileged and not around.pasid_privileged:
        return Status.PRIVILEGE, 0
    return _contents(word, around), 0
