"""The word that an access reads or writes."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from .permission import Permission
from .pipe import Entry
from .windows import Window


class Word(Component):
    """Puts together the 64-bit word that software reads, or that becomes part of an entry.

    It is the OR of registers, one for each place that bytes come from, and all but one of them zero
    in any byte. That takes a quarter of the logic of multiplexers, and no time.

    **Timing**: ``word`` follows by one clock. ``clear`` wins.

    Members
    -------
    clear : ``In(1)``
        Make the word zero. There is no other reset.
    take : ``In(1)``
        Take bytes; the word has to be zero before.
    window, upper : ``In(Window)``, ``In(1)``
        What the word is part of, and whether it is the upper one of an entry of 16 bytes.
    written, data : ``In(8)``, ``In(64)``
        Bytes to take from ``data``; the others come from the entry.
    look, pending : ``In(Entry)``, ``In(1)``
        The entry.
    permission_ims, permission_msix : ``In(Permission)``
        Its permission, by table.
    gather, bit : ``In(1)``, ``In(1)``
        Shift a bit in from above.
    word : ``Out(64)``
    """

    clear: In(1)
    take: In(1)
    window: In(Window)
    upper: In(1)
    written: In(8)
    data: In(64)
    look: In(Entry)
    permission_ims: In(Permission)
    permission_msix: In(Permission)
    pending: In(1)
    gather: In(1)
    bit: In(1)
    word: Out(64)

    def elaborate(self, platform):
        m = Module()
        look = self.look

        def identity(permission):
            return Cat(look.ignore, permission.pasid_enable, C(0, 8), permission.pasid)

        of_ims = self.window == Window.IMS
        of_permission = self.window == Window.MSIX_PERMISSION
        written, gathered = (
            Signal(64, name=name, reset_less=True) for name in ("written_part", "gathered_part")
        )
        parts = [written, gathered]
        # An MSI-X entry shows nothing but its mask beside the data.
        for name, wanted, first, image in (
            ("address", ~of_permission & ~self.upper, 2, look.address),
            ("data", ~of_permission & self.upper, 0, Cat(look.data, look.mask)),
            ("control", of_ims & self.upper, 33, Cat(self.pending, identity(self.permission_ims))),
            ("permission", of_permission, 2, identity(self.permission_msix)),
        ):
            part = Signal(64, name=f"{name}_part", reset_less=True)
            for bit, value in enumerate(image, start=first):
                with m.If(self.take & wanted & ~self.written[bit // 8]):
                    m.d.sync += part[bit].eq(value)
            parts.append(part)
        for byte in range(8):
            lane = slice(8 * byte, 8 * byte + 8)
            with m.If(self.take & self.written[byte]):
                m.d.sync += written[lane].eq(self.data[lane])
        with m.If(self.gather):
            m.d.sync += gathered.eq(Cat(gathered[1:], self.bit))
        # Outermost, so that it becomes the synchronous reset of the registers.
        with m.If(self.clear):
            m.d.sync += [part.eq(0) for part in parts]
        m.d.comb += self.word.eq(reduce(or_, parts))
        return m
