"""Memories with one write port, one read port, and registered outputs."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2

TECHNOLOGIES = ("generic", "ecp5")

_BANK = 16
"""Words of a RAM made of lookup tables on the ECP5."""

_ECP5_WIDTHS = {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}
"""Depth to width of a DP16KD, from Lattice's memory usage guide for ECP5 (FPGA-TN-02204)."""


def technology_of(platform) -> str:
    """Technology to use on a platform: ``"ecp5"`` on LFE5 devices, else ``"generic"``."""
    return "ecp5" if str(getattr(platform, "device", "")).startswith("LFE5") else "generic"


class Ram(Component):
    """One write port, one read port, and two registers behind the read port.

    The same word must never be read and written in the same clock: what is read then is undefined
    (it is on block RAM). Users see to it.

    **Timing**: a word written at clock *t* is read from clock *t+1* on. ``read_data`` follows
    ``read_address`` by two clocks in which ``enable`` is 1; while ``enable`` is 0, both stages keep
    what they hold. There is no reset; the memory starts as zeros.

    Parameters
    ----------
    depth, width : int
        Words, and bits of a word.

    Members
    -------
    write : ``In(1)``
    write_address : ``In(range(depth))``
    write_data : ``In(width)``
    enable : ``In(1)``
        Lets the read side advance by one clock.
    read_address : ``In(range(depth))``
    read_data : ``Out(width)``
    """

    def __init__(self, depth: int, width: int, more: dict | None = None):
        self.depth, self.width = depth, width
        super().__init__(
            {
                "write": In(1),
                "write_address": In(ceil_log2(depth)),
                "write_data": In(width),
                "enable": In(1),
                "read_address": In(ceil_log2(depth)),
                "read_data": Out(width),
            }
            | (more or {})
        )


class DistributedRam(Ram):
    """A :class:`Ram` of lookup tables.

    It is made of banks of 16 words, the size of a RAM of lookup tables on the ECP5. Each has a
    register that is zero while the bank is not addressed, so that an OR joins them: a quarter of
    the logic of what Yosys makes of a plain memory.

    Parameters
    ----------
    depth, width : int
        As for :class:`Ram`.
    substitute : int
        What is read where ``blank`` is 1; costs no logic.

    Members
    -------
    blank : ``In(1)``
        Goes with the address of one clock earlier.
    """

    def __init__(self, depth: int, width: int, substitute: int = 0):
        self._substitute = substitute
        super().__init__(depth, width, {"blank": In(1)})

    def elaborate(self, platform):
        m = Module()
        words = []
        low = ceil_log2(_BANK)
        for number in range(-(-self.depth // _BANK)):
            m.submodules[f"bank{number}"] = bank = Memory(
                shape=self.width, depth=_BANK, init=[], attrs={"ram_style": "distributed"}
            )
            writer, reader = bank.write_port(), bank.read_port(domain="comb")
            m.d.comb += [
                writer.en.eq(self.write & (self.write_address[low:] == number)),
                writer.addr.eq(self.write_address[:low]),
                writer.data.eq(self.write_data),
                reader.addr.eq(self.read_address[:low]),
            ]
            words.append(reader.data)
        chosen = 0
        for number, word in enumerate(words):
            fetched = Signal(self.width, name=f"fetched{number}", reset_less=True)
            with m.If(self.enable):
                m.d.sync += fetched.eq(word)
            # Outermost, so that it becomes the synchronous reset of the register.
            with m.If(self.enable & (self.read_address[low:] != number)):
                m.d.sync += fetched.eq(0)
            chosen = chosen | fetched
        register = Signal(self.width, reset_less=True)
        with m.If(self.enable):
            m.d.sync += register.eq(chosen)
        with m.If(self.enable & self.blank):
            m.d.sync += register.eq(self._substitute)
        m.d.comb += self.read_data.eq(register)
        return m


class BlockRam(Ram):
    """A :class:`Ram` of block RAM, with the block's own output register where it has one.

    ``"generic"`` infers a memory. ``"ecp5"`` instantiates DP16KD in the geometry that the depth
    asks for, port A writing and port B reading, so that the output register is used: Yosys does not
    infer it.

    Parameters
    ----------
    depth, width : int
        As for :class:`Ram`.
    technology : str, optional
        ``"generic"`` or ``"ecp5"``; by default, what the platform of the build asks for.
    """

    def __init__(self, depth: int, width: int, technology: str | None = None):
        if technology not in (None, *TECHNOLOGIES):
            raise ValueError(f"technology is one of {TECHNOLOGIES}, not {technology!r}")
        self._technology = technology
        super().__init__(depth, width)

    def elaborate(self, platform):
        m = Module()
        if (self._technology or technology_of(platform)) == "ecp5":
            self._elaborate_ecp5(m)
        else:
            m.submodules.memory = memory = Memory(shape=self.width, depth=self.depth, init=[])
            writer, reader = memory.write_port(), memory.read_port()
            m.d.comb += [
                writer.en.eq(self.write),
                writer.addr.eq(self.write_address),
                writer.data.eq(self.write_data),
                reader.en.eq(self.enable),
                reader.addr.eq(self.read_address),
            ]
            with m.If(self.enable):
                m.d.sync += self.read_data.eq(reader.data)
        return m

    def _elaborate_ecp5(self, m):
        """Banks of up to 16,384 words, each of as many blocks side by side as the width takes."""
        bank_depth = next((d for d in _ECP5_WIDTHS if d >= self.depth), max(_ECP5_WIDTHS))
        slice_width = _ECP5_WIDTHS[bank_depth]
        banks = -(-self.depth // bank_depth)
        outputs = Array(Signal(self.width, name=f"bank{n}") for n in range(banks))
        bits = ceil_log2(bank_depth)
        for bank, output in enumerate(outputs):
            for low in range(0, self.width, slice_width):
                high = min(low + slice_width, self.width)
                word = Signal(slice_width, name=f"word{bank}_{low}")
                m.submodules[f"block{bank}_{low}"] = _dp16kd(
                    slice_width,
                    write=self.write & (self.write_address[bits:] == bank),
                    write_address=self.write_address[:bits],
                    write_data=self.write_data[low:high],
                    enable=self.enable,
                    read_address=self.read_address[:bits],
                    read_data=word,
                )
                m.d.comb += output[low:high].eq(word)
        select = Signal(range(max(banks, 2)))
        selected = Signal.like(select)
        if banks > 1:
            with m.If(self.enable):
                m.d.sync += [select.eq(self.read_address[bits:]), selected.eq(select)]
        m.d.comb += self.read_data.eq(outputs[selected] if banks > 1 else outputs[0])


def _dp16kd(width, *, write, write_address, write_data, enable, read_address, read_data):
    """A DP16KD that writes on port A and reads on port B through the output register."""
    shift = ceil_log2(16 if width == 18 else 32 if width == 36 else 8 if width == 9 else width)
    # In the wide modes the low address bits of the writing port are byte enables.
    enables = {18: Const(0b0011, 4), 36: Const(0b01111, 5)}.get(width, Const(0, shift))
    address_a = Signal(14)
    address_b = Signal(14)
    data = Signal(36)
    output = Signal(36)
    ports = {}
    for side, address in (("A", address_a), ("B", address_b)):
        ports |= {f"i_AD{side}{n}": address[n] for n in range(14)}
        ports |= {f"i_CS{side}{n}": 0 for n in range(3)}
        ports |= {f"i_CLK{side}": ClockSignal(), f"i_OCE{side}": enable, f"i_RST{side}": 0}
    ports |= {f"i_DIA{n}": data[n] for n in range(18)}
    ports |= {f"i_DIB{n}": data[n + 18] for n in range(18)}
    ports |= {f"o_DOA{n}": output[n] for n in range(18)}
    ports |= {f"o_DOB{n}": output[n + 18] for n in range(18)}
    modes = {f"p_DATA_WIDTH_{side}": width for side in "AB"}
    modes |= {f"p_REGMODE_{side}": "OUTREG" for side in "AB"}
    m = Module()
    m.submodules.dp16kd = Instance(
        "DP16KD",
        **modes,
        p_RESETMODE="SYNC",
        p_GSR="DISABLED",
        i_CEA=write,
        i_WEA=write,
        i_CEB=enable,
        i_WEB=0,
        **ports,
    )
    m.d.comb += [
        address_a.eq(Cat(enables[:shift], write_address)),
        address_b.eq(Cat(Const(0, shift), read_address)),
        data.eq(write_data),
        # With 36 bits, the lower half is on port A; with fewer, everything is on port B.
        read_data.eq(output if width == 36 else output[18:]),
    ]
    return m
