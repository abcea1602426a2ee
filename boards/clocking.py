"""The device's clock, made from the one that a board has."""

from dataclasses import dataclass
from itertools import product

from amaranth import *
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer


@dataclass(frozen=True)
class Ratio:
    """How a PLL makes a clock: ``input / divide_in * multiply``, with the oscillator at
    ``divide_out`` times that."""

    divide_in: int
    multiply: int
    divide_out: int


def ecp5_ratio(input_hz: int, output_hz: int) -> Ratio:
    """The exact ratio of an EHXPLLL with the fastest phase detector (ECP5 data sheet FPGA-DS-02012:
    phase detector from 10 MHz on, oscillator 400 to 800 MHz).

    Raises
    ------
    ValueError
        There is none.
    """
    for divide_in, multiply in product(range(1, 41), range(1, 81)):
        if input_hz * multiply != output_hz * divide_in or input_hz < 5_000_000 * divide_in:
            continue
        for divide_out in range(1, 129):
            if 550_000_000 <= output_hz * divide_out <= 800_000_000:
                return Ratio(divide_in, multiply, divide_out)
    raise ValueError(f"an ECP5's PLL cannot make {output_hz} Hz of {input_hz} Hz")


def xilinx7_ratio(input_hz: int, output_hz: int) -> Ratio:
    """The exact ratio of a PLLE2_BASE (UG472: oscillator 800 to 1600 MHz, phase detector from
    19 MHz on); here ``multiply`` is that of the oscillator.

    Raises
    ------
    ValueError
        There is none.
    """
    for divide_in, multiply, divide_out in product(range(1, 6), range(2, 65), range(1, 129)):
        oscillator_hz = input_hz * multiply // divide_in
        exact = input_hz * multiply == output_hz * divide_out * divide_in
        if exact and 800_000_000 <= oscillator_hz <= 1_600_000_000:
            return Ratio(divide_in, multiply, divide_out)
    raise ValueError(f"a PLL of this family cannot make {output_hz} Hz of {input_hz} Hz")


class Clocking(Elaboratable):
    """Drives the domain ``sync`` at a rate, from the board's default clock.

    The domain has no reset: one that starts beside the clock, at the edge of the device, would take
    half a period to get anywhere. ``reset`` is a register for whoever needs it.

    Parameters
    ----------
    clock_hz
        The rate.

    Attributes
    ----------
    reset : Signal()
        1 until the clock is stable, and as long as the board's reset pin is active.
    """

    def __init__(self, clock_hz: int):
        self._clock_hz = clock_hz
        self.reset = Signal(init=1)

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        pin = platform.request(platform.default_clk, dir="-")
        m.submodules.pin = buffer = io.Buffer("i", pin)
        input_hz = int(platform.default_clk_frequency)
        clock, waiting, locked = ClockSignal(), Signal(), Signal(init=1)
        stable = Signal()
        m.submodules.stable = FFSynchronizer(locked & ~waiting, stable)
        m.d.sync += self.reset.eq(~stable)
        if platform.default_rst is not None:
            m.submodules.reset_pin = pressed = io.Buffer(
                "i", platform.request(platform.default_rst, dir="-")
            )
            m.d.comb += waiting.eq(pressed.i)
        if input_hz == self._clock_hz:
            m.d.comb += clock.eq(buffer.i)
            return m
        make = self._ecp5 if platform.family == "ecp5" else self._xilinx7
        output = Signal(name="device_clock")
        make(m, buffer.i, input_hz, output, locked)
        m.d.comb += clock.eq(output)
        platform.add_clock_constraint(output, self._clock_hz)
        return m

    def _ecp5(self, m, source, input_hz, output, locked):
        ratio = ecp5_ratio(input_hz, self._clock_hz)
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{input_hz / 1e6:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self._clock_hz / 1e6:g}",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            p_CLKI_DIV=ratio.divide_in,
            p_CLKFB_DIV=ratio.multiply,
            p_CLKOP_DIV=ratio.divide_out,
            p_CLKOP_CPHASE=ratio.divide_out - 1,
            p_CLKOP_FPHASE=0,
            p_CLKOP_ENABLE="ENABLED",
            p_FEEDBK_PATH="CLKOP",
            i_CLKI=source,
            i_CLKFB=output,
            i_RST=0,
            i_STDBY=0,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=0,
            i_PHASESTEP=0,
            i_PHASELOADREG=0,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            o_CLKOP=output,
            o_LOCK=locked,
        )

    def _xilinx7(self, m, source, input_hz, output, locked):
        ratio = xilinx7_ratio(input_hz, self._clock_hz)
        feedback, made = Signal(), Signal()
        m.submodules.pll = Instance(
            "PLLE2_BASE",
            p_CLKIN1_PERIOD=1e9 / input_hz,
            p_DIVCLK_DIVIDE=ratio.divide_in,
            p_CLKFBOUT_MULT=ratio.multiply,
            p_CLKOUT0_DIVIDE=ratio.divide_out,
            i_CLKIN1=source,
            i_CLKFBIN=feedback,
            i_RST=0,
            i_PWRDWN=0,
            o_CLKFBOUT=feedback,
            o_CLKOUT0=made,
            o_LOCKED=locked,
        )
        m.submodules.buffer = Instance("BUFG", i_I=made, o_O=output)
