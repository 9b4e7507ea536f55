"""The processes of the engine start: what they import is there."""

import importlib

import pytest
from headrace_scorer import processes
from headrace_scorer.publishing import engine_calls

MODULES = (processes.PLANNING, processes.DRIVING, processes.ESTIMATING, engine_calls.CHECKING, engine_calls.PUBLISHING)


@pytest.mark.parametrize("module", MODULES)
def test_a_process_of_the_engine_can_be_started(module: str) -> None:
    assert callable(importlib.import_module(module).main)
