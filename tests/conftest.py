"""What all tests share."""

import gc
from typing import Any

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Before a failure is printed, collect the benches that earlier tests left suspended.

    A suspended bench complains when it is collected, and Python 3.11 loses its way if that happens
    while pytest parses the source of the failing test.
    """
    if call.excinfo is not None:
        gc.collect()
