"""The demonstration on the functional model."""

from ..model.transport import ModelTransport, run
from .result import Plan, Result
from .scenario import Progress, demonstrate
from .witness import Witness


def on_model(plan: Plan, progress: Progress) -> Result:
    """Run it; takes seconds."""

    async def play() -> Result:
        witness = Witness(plan.config.message_window)
        transport = ModelTransport(plan.config, witness, seed=plan.seed)
        return await demonstrate(transport, witness, plan, progress)

    return run(play())
