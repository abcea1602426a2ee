"""Interrupts of a virtual device as user space sees them (Linux include/uapi/linux/vfio.h).

MSI-X vector 0 is emulated: the composer triggers it. The others are backed by interrupt message
storage of the host's device: allocated when they get a trigger, freed when it is taken away.
"""

import enum
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..device import Device
from ..vector import Vector, VectorTable
from .errors import VfioError

MSIX_IRQ_INDEX = 2
"""VFIO_PCI_MSIX_IRQ_INDEX; a virtual device has interrupts of no other kind."""

Trigger = Callable[[], None]
"""What an eventfd is to Linux: signalled with each interrupt."""


class IrqSet(enum.IntFlag):
    """VFIO_IRQ_SET_*: one kind of data, and one action."""

    DATA_NONE = 1 << 0
    DATA_BOOL = 1 << 1
    DATA_EVENTFD = 1 << 2
    ACTION_MASK = 1 << 3
    ACTION_UNMASK = 1 << 4
    ACTION_TRIGGER = 1 << 5


_DATA = IrqSet.DATA_NONE | IrqSet.DATA_BOOL | IrqSet.DATA_EVENTFD
_ACTION = IrqSet.ACTION_MASK | IrqSet.ACTION_UNMASK | IrqSet.ACTION_TRIGGER


@dataclass(eq=False)
class Context:
    """One interrupt (Linux struct vfio_pci_irq_ctx): its trigger, and what is behind it.

    ``vector`` is None for an emulated interrupt.
    """

    trigger: Trigger
    vector: Vector | None


class Interrupts:
    """The interrupts of one virtual device.

    Parameters
    ----------
    device
        The host's, whose message storage is behind them.
    count
        How many there are.
    owner
        The host PASID whose descriptors may cause an interrupt, by its number.

    **Errors** :class:`VfioError` with EINVAL for what VFIO does not take;
    :class:`~driver.errors.VectorsExhausted` where the host has no vector left.
    """

    def __init__(self, device: Device, count: int, owner: Callable[[int], int]) -> None:
        self.count = count
        self._device = device
        self._owner = owner
        self._contexts: dict[int, Context] = {}

    def context(self, number: int) -> Context | None:
        """What is set for an interrupt."""
        return self._contexts.get(number)

    @property
    def vectors(self) -> list[Vector]:
        """The host's vectors in use."""
        return [each.vector for each in self._contexts.values() if each.vector is not None]

    async def set_irqs(
        self,
        flags: IrqSet,
        index: int,
        start: int,
        count: int,
        data: Sequence[Trigger | bool | None] = (),
    ) -> None:
        """VFIO_DEVICE_SET_IRQS.

        With eventfds each interrupt of the range gets a trigger, or loses it where there is None.
        A range without any, and without data, takes all away. Other data triggers, masks or
        unmasks: all of the range, or those that are true.
        """
        kind, action = flags & _DATA, flags & _ACTION
        self._check(kind, action, index, start, count, data)
        if action is IrqSet.ACTION_TRIGGER and not count:
            await self._disable()
        elif kind is IrqSet.DATA_EVENTFD:
            await self._set_triggers(start, data)
        else:
            chosen = [n for n in range(count) if kind is IrqSet.DATA_NONE or data[n]]
            for number in chosen:
                await self._act(action, start + number)

    def _check(
        self,
        kind: IrqSet,
        action: IrqSet,
        index: int,
        start: int,
        count: int,
        data: Sequence[Trigger | bool | None],
    ) -> None:
        if kind.bit_count() != 1 or action.bit_count() != 1:
            raise VfioError(errno.EINVAL, "a set of interrupts has one kind of data, one action")
        if index != MSIX_IRQ_INDEX:
            raise VfioError(errno.EINVAL, f"the device has MSI-X interrupts, none of kind {index}")
        if start < 0 or count < 0 or start + count > self.count:
            raise VfioError(
                errno.EINVAL,
                f"the device has interrupts 0 to {self.count - 1}, not {count} from {start}",
            )
        if not count and (kind is not IrqSet.DATA_NONE or action is not IrqSet.ACTION_TRIGGER):
            raise VfioError(errno.EINVAL, "only a trigger without data may name no interrupt")
        if kind is not IrqSet.DATA_NONE and len(data) != count:
            raise VfioError(errno.EINVAL, f"{count} interrupts need {count} data, not {len(data)}")
        if kind is IrqSet.DATA_EVENTFD and action is not IrqSet.ACTION_TRIGGER:
            raise VfioError(errno.EINVAL, "an eventfd triggers; it neither masks nor unmasks")

    async def _set_triggers(self, start: int, data: Sequence[Trigger | bool | None]) -> None:
        """All of the range or nothing: what was set before an error is taken back."""
        done: list[int] = []
        try:
            for number, trigger in enumerate(data, start):
                assert not isinstance(trigger, bool)
                await self._release(number)
                if trigger is not None:
                    done.append(number)
                    await self._request(number, trigger)
        except BaseException:
            for number in done:
                await self._release(number)
            raise

    async def _request(self, number: int, trigger: Trigger) -> None:
        context = self._contexts[number] = Context(trigger, None)
        if not number:
            return
        try:
            context.vector = await self._device.alloc_vector(
                lambda: context.trigger(), pasid=self._owner(number), table=VectorTable.IMS
            )
        except BaseException:
            del self._contexts[number]
            raise

    async def _release(self, number: int) -> None:
        context = self._contexts.get(number)
        if context is not None:
            if context.vector is not None:
                await self._device.free_vector(context.vector)
            del self._contexts[number]

    async def _act(self, action: IrqSet, number: int) -> None:
        context = self._contexts.get(number)
        if context is None:
            return
        if action is IrqSet.ACTION_TRIGGER:
            context.trigger()
        elif context.vector is not None:
            masking = action is IrqSet.ACTION_MASK
            await (context.vector.mask() if masking else context.vector.unmask())

    async def _disable(self) -> None:
        for number in list(self._contexts):
            await self._release(number)
