"""The examples in the driver's pages run as they stand."""

import re
from pathlib import Path

import pytest

import driver
from driver.irq import boot
from sim.model.transport import ModelTransport, run

EXAMPLES = [
    example
    for page in ("README.md", "irq/README.md", "vdcm/README.md")
    for example in re.findall(
        r"```python\n(.*?)```", (Path(driver.__file__).parent / page).read_text(), re.DOTALL
    )
]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_runs_on_the_model(example):
    names: dict = {}
    exec(compile(example, "driver's page", "exec"), names)

    async def play():
        transport = ModelTransport()
        await names["program"](transport)
        return transport.platform

    host = run(play())
    assert not host.check() and not host.interrupts.live
    assert not any(boot(host).counts().values())
