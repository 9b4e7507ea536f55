"""A pytest plugin: puts what each fixture's set-up took beside its test in the JUnit file.

A property `setup:FIXTURE` holds seconds, without those of the fixtures that it asked for.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import pytest
from _pytest.fixtures import SubRequest

# Set-ups shorter than this are not recorded: there are a hundred thousand of them.
RECORDED_FROM_S = 0.01

# Seconds that the set-ups below the present one took, one entry for each that has begun.
_inner: list[float] = []


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: SubRequest) -> Generator[None, object, object]:
    began = time.perf_counter()
    _inner.append(0.0)
    try:
        return (yield)
    finally:
        whole = time.perf_counter() - began
        own = whole - _inner.pop()
        if _inner:
            _inner[-1] += whole
        if own >= RECORDED_FROM_S:
            request._pyfuncitem.user_properties.append((f"setup:{fixturedef.argname}", round(own, 3)))
