"""The monitor, or its database, is killed while predictions are made: no caller notices, and nothing goes uncounted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from headrace_client import AsyncClient, RetryPolicy, Unavailable
from headrace_observe import Outcome
from headrace_servicekit.testing import eventually
from headrace_stack.components import postgres
from headrace_stack.snapshot import State

from tests.kit.models import onnx_models
from tests.kit.stack.load import Load
from tests.kit.stack.operator import Operator
from tests.kit.stack.running import RunningStack

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(300)]

VERSION = onnx_models.linear(seed=1)
KILLS = 2
# A stack that others share the machine with takes its time.
WITHIN_S = 90.0


@pytest.fixture
async def operator(own_stack: RunningStack, tmp_path: Path) -> AsyncIterator[Operator]:
    """Somebody who has put the model `watched` into production."""
    async with Operator.of(own_stack, "watched", tmp_path) as made:
        await made.register("v1", VERSION)
        await made.promote("v1")
        yield made


async def test_a_killed_monitor_costs_no_prediction_and_counts_all_of_them_when_it_is_back(
    own_stack: RunningStack, operator: Operator
):
    began = datetime.now(UTC) - timedelta(minutes=1)
    async with Load.running(own_stack, "watched", {"v1": VERSION}, rate=50) as load:
        await load.steady()
        await load.goes_on(2.0)
        own_stack.kill("monitor")
        await load.goes_on(4.0)
    assert load.failures() == []
    answered = len(load.exchanges)
    await eventually(lambda: own_stack.status("monitor").state is State.READY, within=WITHIN_S, every=0.1)
    await all_counted(operator, began, answered)
    await all_logged(operator, answered)
    assert own_stack.status("monitor").restarts == 1


async def test_a_killed_postgresql_costs_no_prediction_and_no_outcome_that_was_acknowledged(
    own_stack: RunningStack, operator: Operator
):
    began = datetime.now(UTC) - timedelta(minutes=1)
    async with Load.running(own_stack, "watched", {"v1": VERSION}, rate=30) as load, telling(own_stack) as tellers:
        await load.steady()
        for _ in range(KILLS):
            await went_on(tellers)
            before = sum(len(one.refusals) for one in tellers)
            own_stack.kill(postgres.NAME)
            await eventually(lambda was=before: sum(len(one.refusals) for one in tellers) > was, within=WITHIN_S)
        await went_on(tellers)
    assert load.failures() == []
    # A monitor whose database is away is left out by the front door a moment later: both say when to come back.
    refusals = [error for teller in tellers for error in teller.refusals]
    assert all(error.retry_after_s is not None for error in refusals), refusals
    predicted = {one for teller in tellers for one in teller.predicted}
    answered = len(load.exchanges) + len(predicted)
    await all_counted(operator, began, answered)
    await all_logged(operator, answered)
    told = {about: value for teller in tellers for about, value in teller.acknowledged.items()}
    assert set(told) == predicted
    seen = await columns(operator, "select prediction_id as id, number from outcomes where model = 'watched'")
    assert len(seen["id"]) == len(told)
    assert dict(zip(map(str, seen["id"]), seen["number"], strict=True)) == told


@dataclass(slots=True)
class Teller:
    """Predicts a few at a time, and tells what became of each until that is acknowledged; keeps a log of both."""

    client: AsyncClient
    size: int
    predicted: list[str] = field(default_factory=list)
    acknowledged: dict[str, float] = field(default_factory=dict)
    refusals: list[Unavailable] = field(default_factory=list)

    async def step(self) -> None:
        row = {"features": np.ones((1, 4), np.float32)}
        made = [(await self.client.predict("watched", row)).prediction_id for _ in range(self.size)]
        self.predicted += made
        now = datetime.now(UTC)
        outcomes = [Outcome(float(n), prediction_id=one, observed_at=now) for n, one in enumerate(made)]
        while True:
            try:
                answer = await self.client.outcomes.record("watched", outcomes)
            except Unavailable as error:
                self.refusals.append(error)
                await asyncio.sleep(0.05)  # what was told is told again: this is how often
                continue
            assert answer.rejected == ()
            self.acknowledged |= {one.prediction_id: float(one.value) for one in outcomes}
            return


@contextlib.asynccontextmanager
async def telling(stack: RunningStack) -> AsyncIterator[list[Teller]]:
    """Tell outcomes, singly and in bulk, until the block ends; what was begun is acknowledged then."""
    never = RetryPolicy(max_attempts=1)
    async with AsyncClient(stack.address, token=lambda: stack.token("teller"), retry=never) as client:
        tellers = [Teller(client, 1), Teller(client, 20)]
        stopping = asyncio.Event()

        async def go_on(teller: Teller) -> None:
            while not stopping.is_set():
                await teller.step()

        async with asyncio.TaskGroup() as group:
            for teller in tellers:
                group.create_task(go_on(teller))
            yield tellers
            stopping.set()


async def went_on(tellers: Sequence[Teller]) -> None:
    """Return when each was acknowledged something new."""
    before = [len(one.acknowledged) for one in tellers]
    await eventually(
        lambda: all(len(one.acknowledged) > was for one, was in zip(tellers, before, strict=True)), within=WITHIN_S
    )


async def all_counted(operator: Operator, began: datetime, answered: int) -> None:
    """Return when so many answers are counted; no more may be, and nothing was dropped or lost."""

    async def counted() -> bool:
        told = await operator.client.monitor.traffic("watched", start=began)
        count = sum(one.count for one in told.traffic)
        assert count <= answered
        assert (told.dropped_predictions, told.lost_batches) == (0, 0)
        return count == answered

    await eventually(counted, within=WITHIN_S, every=0.5)


async def all_logged(operator: Operator, answered: int) -> None:
    """Return when every prediction is in the log; none may be there twice."""
    sql = """
        select count(distinct prediction_id) as predictions, count(*) as rows,
            count(distinct (prediction_id, row)) as different
        from predictions where model = 'watched'
    """

    async def logged() -> bool:
        seen = await columns(operator, sql)
        assert seen["rows"] == seen["different"]
        assert seen["predictions"][0] <= answered
        return seen["predictions"] == [answered]

    await eventually(logged, within=WITHIN_S, every=1.0)


async def columns(operator: Operator, sql: str) -> dict[str, list]:
    """Return the columns of an answer in SQL."""
    return (await operator.client.monitor.query(sql, max_rows=1_000_000)).table().to_pydict()
