"""The processes of the engine start: what they import is there."""

import importlib

import pytest
from headrace_scorer import engine_processes
from headrace_scorer.publishing import publish_engine

MODULES = (
    engine_processes.PLANNING,
    engine_processes.DRIVING,
    engine_processes.ESTIMATING,
    publish_engine.CHECKING,
    publish_engine.PUBLISHING,
)


@pytest.mark.parametrize("module", MODULES)
def test_a_process_of_the_engine_can_be_started(module: str) -> None:
    assert callable(importlib.import_module(module).main)
