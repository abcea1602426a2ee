"""The example in the driver's README runs as it stands."""

import re
from pathlib import Path

import driver
from sim.model.transport import ModelTransport, run


def test_example_runs_on_the_model():
    text = (Path(driver.__file__).parent / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(compile(example, "driver/README.md", "exec"), names)

    async def play():
        transport = ModelTransport()
        await names["program"](transport)
        return transport.platform

    host = run(play())
    assert not host.check() and not host.interrupts.live
