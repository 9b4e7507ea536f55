"""`kill -9` of parts of a stack in use: nobody notices while anything else can answer, and nothing written is lost."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest
from headrace_client import Client, RetryPolicy

from examples.versions import begin_with
from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import in_use, whole

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

ONE_OF_EACH = ("registry", "router-control", "router-data", "batcher-default", "console")
STORES = ("postgres", "s3", "valkey")


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param(ONE_OF_EACH, id="one of each service at once"),
        pytest.param((*STORES, "triton"), id="every store and a Triton at once"),
        *(pytest.param((part,), id=part, marks=pytest.mark.long) for part in (*ONE_OF_EACH, *STORES, "triton")),
    ],
)
async def test_what_is_killed_costs_no_prediction_and_no_acknowledged_write(
    replicated_stack: RunningStack, tmp_path: Path, killed: tuple[str, ...]
):
    async with in_use(replicated_stack, tmp_path) as scene:
        were = {part: processes.kill(replicated_stack, part) for part in killed}
        for part, was in were.items():
            await processes.back(replicated_stack, part, was)
        await scene.well_again()
        assert scene.restarted() == {part for part in killed if part != "triton"}
    assert await scene.complaints() == []


async def test_a_killed_front_door_is_back_soon_and_only_callers_of_that_moment_notice(
    replicated_stack: RunningStack, tmp_path: Path
):
    async with in_use(replicated_stack, tmp_path) as scene:
        began = time.monotonic()
        was = processes.kill(replicated_stack, "envoy")
        await processes.back(replicated_stack, "envoy", was)
        answered_again = await scene.load.steady()
        await scene.well_again()
        assert scene.restarted() == set(), "its launcher starts it again, from the configuration that is there"
    assert scene.load.failures()
    assert await scene.complaints(excused=(began, answered_again)) == []


async def test_a_batcher_that_is_killed_and_stays_away_costs_no_request_of_the_demo(
    replicated_stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With two batchers, as `make up` starts them: of the demo's own load, of which nothing is sent again."""
    # Here, as scikit-learn takes a second that every worker would wait when it collects tests.
    from examples.digits.register import MODEL, register
    from examples.digits.traffic import send
    from examples.digits.train import load, train

    digits = load()
    candidate = train(digits, tmp_path)[0]
    with Client(replicated_stack.address, token=replicated_stack.token) as client:
        first = register(client, candidate, digits, tmp_path)
        _, model = begin_with(client, MODEL, first.version)
        client.routes.await_epoch(MODEL, model.epoch, timeout=60)
    under_way = asyncio.Event()
    answered = itertools.count(1)

    def progress() -> None:
        if next(answered) == 100:  # of the 540 that are computed; what is asked again comes from the cache
            under_way.set()

    monkeypatch.setenv("HEADRACE_TOKEN", replicated_stack.token())
    once = RetryPolicy(max_attempts=1)
    sending = asyncio.create_task(
        send(replicated_stack.url, digits.held_out, repeat=2, progress=progress, retry=once), name="the demo's load"
    )
    await asyncio.wait((sending, asyncio.create_task(under_way.wait())), return_when=asyncio.FIRST_COMPLETED)
    # Its successors too: how soon one is there depends on the machine and on the models.
    async with processes.gone(replicated_stack, "batcher-default"):
        answers = await sending
    assert len(answers) == 2 * len(digits.held_out.labels)
    await whole(replicated_stack)
