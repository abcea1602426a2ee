"""Batches of trials, with fences, and what has to become of each member."""

import random
from dataclasses import replace

from driver import Adi, BatchFailed, Completion, OperationFailed
from hw.regs.descriptor import Opcode, Status

from .desk import Desk
from .trials import Trial

FENCES = 0.3
"""Share of the members that wait for those before them."""


class BatchDesk:
    """Several desks of one ADI, whose operations go into one batch.

    Parameters
    ----------
    adi
        Whose memory, queue and vectors.
    rng
        The source of chance.
    most
        Members of the largest batch.
    section_bytes, largest_bytes
        See :class:`sim.workload.desk.Desk`.
    """

    def __init__(
        self, adi: Adi, rng: random.Random, most: int, section_bytes: int, largest_bytes: int
    ) -> None:
        self.adi = adi
        self._random = rng
        self._desks = [Desk(adi, rng, section_bytes, largest_bytes) for _ in range(most)]

    async def attempt(self) -> tuple[list[Trial], list[Completion | None]]:
        """Submit a batch and wait for its bell; its members, and their records.

        **Errors** :class:`driver.errors.DriverError` if there is no record in the end.
        """
        trials = [self._draw(desk) for desk in self._desks[: self._random.randint(1, self.most)]]
        fenced = [self._random.random() < FENCES for _ in trials]
        for desk, trial in zip(self._desks, trials, strict=False):
            desk.prepare(trial)
        vector = self._random.randrange(len(self.adi.vectors))
        batch = self.adi.batch(vector=vector)
        try:
            async with batch:
                for trial, waits in zip(trials, fenced, strict=True):
                    if waits:
                        batch.fence()
                    batch.add(trial.descriptor)
        except BatchFailed:
            pass
        except OperationFailed as failure:
            if failure.status != Status.HARDWARE:
                raise
        self._fenced = fenced
        return trials, [member.completion for member in batch.members]

    @property
    def most(self) -> int:
        """Members of the largest batch."""
        return len(self._desks)

    def _draw(self, desk: Desk) -> Trial:
        """Anything but a drain, which no batch may hold."""
        kinds = [opcode for opcode in desk.trials.opcodes if opcode is not Opcode.DRAIN]
        return desk.trials.draw(self._random.choice(kinds))

    def judge(
        self, trials: list[Trial], completions: list[Completion | None], *, unlucky: bool
    ) -> list[str]:
        """What is wrong with records and memory, as sentences.

        Parameters
        ----------
        unlucky
            The host has let reads fail meanwhile: of the list, or of a member.
        """
        wrong: list[str] = []
        failed = ended = False
        members = zip(self._desks, trials, completions, self._fenced, strict=False)
        for number, (desk, trial, completion, waits) in enumerate(members):
            ended = ended or (failed and waits)
            if completion is None:
                if not ended and not unlucky:
                    wrong.append(f"PASID {self.adi.pasid:#x}: member {number} was not executed")
                completion = Completion(Status.SUCCESS, False, 0, 0, 0, 0)
                trial = replace(trial, after=(), status=Status.SUCCESS, value=None)
                trial = replace(trial, result=0, bytes_completed=0)
            elif ended:
                wrong.append(f"PASID {self.adi.pasid:#x}: member {number} is behind a fence")
            failed = failed or completion.status != Status.SUCCESS
            wrong += desk.judge(trial, completion, unlucky=unlucky)
        return wrong
