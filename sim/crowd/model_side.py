"""A crowd on the functional model."""

from ..model.transport import ModelTransport, run
from .result import Plan, Result
from .scenario import Crowd, CrowdWitness, Progress


def on_model(plan: Plan, progress: Progress, *, shuffle: bool = False) -> Result:
    """Play it; takes seconds. ``shuffle`` as for :class:`~sim.model.transport.ModelTransport`."""

    async def play() -> Result:
        witness = CrowdWitness(plan.config.message_window)
        transport = ModelTransport(plan.config, witness, seed=plan.seed, shuffle=shuffle)
        return await Crowd(transport, witness, plan, progress).run()

    return run(play())
