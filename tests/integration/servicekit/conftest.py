"""Servers under test: `headrace_servicekit.server` has two ways of serving, and either must do all of it."""

from typing import Any

import pytest
from headrace_servicekit.server import Server


@pytest.fixture(params=[False, True], ids=["grpc.aio", "on-the-loop"])
def each_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Have every Server of this process serve in one of the two ways; another is to be told which it is."""
    defaults: Any = Server.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "on_the_loop", request.param)
    return request.param
