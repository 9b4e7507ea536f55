"""Servers under test: `headrace_servicekit.server` has two ways of serving, and either must do all of it."""

from typing import Any

import pytest
from headrace_servicekit.server import Server


@pytest.fixture(params=[False, True], ids=["grpc.aio", "on-the-loop"])
def each_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every Server of the test serve in one of the two ways, unless it is told."""
    defaults: Any = Server.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "on_the_loop", request.param)
