"""A version reaches production only when its route held while its backend was dead, slow and wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from headrace_client import Client
from headrace_servicekit.testing import eventually, patience
from headrace_stack.replicas import Backend, Pool, Replicas
from headrace_stack.testing import held_stack

from tests.kit.clients.headrace_cli import GOOD, Headrace, own_model
from tests.kit.models import onnx_models
from tests.kit.stack.running import RunningStack
from tests.kit.stack.served_models import ROW
from tests.kit.stores.servers import home_for_tests

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

POOLS = (Pool("default", Backend.ONNXRUNTIME), Pool("staging", Backend.SIMULATOR))
# With time in hand: the machine is busy with other tests.
CHAIN = ("old=backup:v1,left=200ms", 'constant:{"scores": [0, 0, 0]}')
QUICK = ("--seconds", "4", "--rate", "20", "--deadline", "500ms", "--yes")


@pytest.fixture(scope="module")
def staged_stack() -> Iterator[RunningStack]:
    """A stack whose pool `staging` has a Triton behind the simulator."""
    with held_stack(home_for_tests(f"game-day-{os.getpid()}"), replicas=Replicas(pools=POOLS)) as settings:
        yield RunningStack(settings)


@pytest.fixture
def simulator(staged_stack: RunningStack) -> str:
    return f"127.0.0.1:{staged_stack.status('batcher-staging').ports[-1]}"


@pytest.fixture
def headrace(staged_stack: RunningStack, tmp_path: Path, request: pytest.FixtureRequest) -> Headrace:
    """v1 in production, and v2 in staging: in its own pool, for requests of game days."""
    made = Headrace(staged_stack, tmp_path, own_model(request.node.nodeid))
    for version, seed in (("v1", 1), ("v2", 2)):
        file = made.file(f"{version}.onnx", onnx_models.linear(seed=seed))
        made("models", "register", made.model, version, file, *GOOD)
    made("models", "promote", made.model, "v1")
    made("models", "gates", made.model, "--set", "game_day>=1@measured")
    made("routes", "split", made.model, "production=100", "v2@staging=0")
    made("routes", "rules", "set", made.model, "game_day=v2 -> v2")
    return made


def faults(simulator: str) -> list[Any]:
    return httpx.get(f"http://{simulator}/faults").json()["faults"]


def test_a_version_is_promoted_after_its_game_day_and_not_before(headrace: Headrace, simulator: str):
    version = f"{headrace.model}@v2"
    command = ("game-day", version, *QUICK)  # the simulators of the stack are found
    assert headrace(*command, code=4)["error"]["reason"] == "NOT_IN_STAGING"
    headrace("models", "promote", headrace.model, "v2", "--to", "staging")
    assert headrace(*command, code=4)["error"]["reason"] == "NO_FALLBACK"
    headrace("routes", "fallback", "set", headrace.model, *CHAIN)
    refused = headrace("models", "promote", headrace.model, "v2", code=4)["error"]
    assert refused["violations"][0]["field"] == "gates.game_day"
    assert f"headrace game-day {version}" in refused["remedy"]

    with undisturbed_callers(headrace):
        held = headrace(*command)
    assert [(phase["name"], phase["problems"]) for phase in held["phases"]] == [
        ("well", []), ("dead", []), ("slow", []), ("wrong", []),
    ]  # fmt: skip
    assert (held["passed"], held["recorded"]) == (True, True)
    for phase in held["phases"][1:]:
        assert set(phase["steps"]) <= {"old", "constant"}
        assert phase["wrong"] == 0
        assert phase["p99_ms"] < patience(1000)
    assert faults(simulator) == []

    (measured,) = [
        one for one in headrace("models", "measurements", headrace.model, "v2")["measurements"]
        if one["metric"]["name"] == "game_day"
    ]  # fmt: skip
    assert measured["metric"]["value"] == 1
    assert measured["source_process"].startswith("clients/")
    assert measured["source_process"].endswith("/game-day")
    assert headrace("models", "promote", headrace.model, "v2")["serving"]


@pytest.mark.long
def test_a_route_whose_only_fallback_dies_with_its_backend_does_not_hold(headrace: Headrace, simulator: str):
    headrace("models", "promote", headrace.model, "v2", "--to", "staging")
    headrace("routes", "fallback", "set", headrace.model, "backup:v1@staging")
    found = headrace("game-day", f"{headrace.model}@v2", "--simulator", simulator, *QUICK, code=4)
    assert found["recorded"]
    dead = found["phases"][1]
    assert any("got no answer" in problem for problem in dead["problems"])
    assert faults(simulator) == []
    error = headrace("models", "promote", headrace.model, "v2", code=4)["error"]
    assert "game_day is 0 (measured)" in error["message"]


async def test_whoever_interrupts_a_game_day_leaves_no_fault_behind(headrace: Headrace, simulator: str):
    headrace("models", "promote", headrace.model, "v2", "--to", "staging")
    headrace("routes", "fallback", "set", headrace.model, "backup:v1")
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("headrace"), "game-day", f"{headrace.model}@v2"),
        *("--simulator", simulator, "--seconds", "25", "--yes"),
        env={**os.environ, "HEADRACE_STATE_DIR": str(headrace.stack.settings.home)},
    )
    try:
        await eventually(lambda: [one["name"] for one in faults(simulator)] == ["game-day-dead"], within=60)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert faults(simulator) == []


@contextlib.contextmanager
def undisturbed_callers(headrace: Headrace) -> Iterator[None]:
    """Have somebody ask what is in production until the block ends, who notices nothing."""
    ended = threading.Event()
    answered: list[tuple[str, bool]] = []

    def ask() -> None:
        with Client(headrace.stack.address, token=headrace.stack.token) as client:
            while not ended.wait(0.1):
                answer = client.predict(headrace.model, {"features": ROW})
                answered.append((answer.version, answer.degraded))

    asking = threading.Thread(target=ask, name="callers")
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()
    assert len(answered) > 20
    assert set(answered) == {("v1", False)}
