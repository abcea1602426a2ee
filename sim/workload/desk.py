"""A place where a tenant does one operation at a time and looks at everything afterwards."""

import random

from driver import Adi, Completion, OperationFailed
from driver.transport import Buffer
from hw.regs.descriptor import Status

from .trials import PAGE_BYTES, SECTIONS, Area, Trial, Trials


class Desk:
    """Memory of an ADI, and trials on it.

    Parameters
    ----------
    adi
        Whose memory, queue and vectors.
    rng
        The source of chance.
    section_bytes, largest_bytes
        Size of each of the four sections of the memory, and of the largest operation.
    """

    def __init__(self, adi: Adi, rng: random.Random, section_bytes: int, largest_bytes: int):
        self.adi = adi
        self._random = rng
        self._buffer: Buffer = adi.allocate(SECTIONS * section_bytes, align=PAGE_BYTES)
        self._area = Area(self._buffer.address, section_bytes)
        self.trials = Trials(rng, self._area, largest_bytes)

    @property
    def place(self) -> range:
        """Addresses of the memory."""
        return range(self._buffer.address, self._buffer.address + self._buffer.size_bytes)

    def prepare(self, trial: Trial) -> None:
        """Set memory up."""
        for start, data in trial.before:
            self._buffer.write(data, start)

    async def execute(self, trial: Trial) -> Completion:
        """Set memory up, submit, and wait for the bell.

        **Errors** :class:`driver.errors.DriverError` if there is no record in the end.
        """
        self.prepare(trial)
        vector = self._random.randrange(len(self.adi.vectors))
        try:
            return await (
                await self.adi.submit(trial.descriptor, vector=vector, check=False)
            ).wait()
        except OperationFailed as failure:
            return failure.completion

    def judge(self, trial: Trial, completion: Completion, *, unlucky: bool = False) -> list[str]:
        """What is wrong with the record and with every byte of the memory, as sentences.

        Parameters
        ----------
        unlucky
            The host has let reads fail meanwhile, so this operation may have failed half-way.
        """
        found = self._buffer.read()
        wrong = []
        stored = self._area.content
        failed = completion.status == Status.HARDWARE and trial.status is not Status.HARDWARE
        if failed and unlucky:
            # How far it came nobody knows, but it has kept to its destination.
            for start, data in trial.before:
                stored[start : start + len(data)] = data
            for start, data in trial.after:
                stored[start : start + len(data)] = found[start : start + len(data)]
        else:
            complaint = trial.complaint(completion, completion.value)
            if complaint:
                wrong.append(f"PASID {self.adi.pasid:#x}: {complaint}")
            self.trials.keep(trial)
        if found != stored:
            place = next(n for n, byte in enumerate(found) if byte != stored[n])
            wrong.append(
                f"PASID {self.adi.pasid:#x}: after {trial.name}, byte {place} of the memory is "
                f"{found[place]:#04x} instead of {stored[place]:#04x}"
            )
            stored[:] = found
        return wrong
