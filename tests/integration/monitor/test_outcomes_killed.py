"""PostgreSQL killed while outcomes are told and alerts begin and end: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from headrace.monitor.v1 import alert_pb2, outcome_pb2, outcome_pb2_grpc
from headrace_monitor import names
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Code, ServiceError
from headrace_servicekit.testing import eventually
from headrace_stack.components import postgres
from headrace_stack.settings import StackSettings
from headrace_statistics.severity import Severity

from tests.kit.monitor.alerting import Alerts, Receiver, alerting
from tests.kit.monitor.service import real_monitor
from tests.kit.stores.servers import kill_component

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

RECORDED = outcome_pb2.RecordOutcomesResponse.RESULT_RECORDED
REPEATED = outcome_pb2.RecordOutcomesResponse.RESULT_REPEATED
WAITING = outcome_pb2.RecordOutcomesResponse.RESULT_WAITING
OPENED, RESOLVED = "headrace.alert.opened", "headrace.alert.resolved"
KILLS, BULK, VERSIONS, ROUNDS = 3, 500, 10, 2

# How often each outcome is there, and how often it waits to meet its prediction: both are 1.
KEPT = """
select prediction_id::text as id, number, jsonb_array_length(replaced) as replaced,
    (select count(*) from outcome_arrivals as arrival where arrival.prediction_id = outcomes.prediction_id) as arrivals
from outcomes where model = 'm'
"""
KEPT_OF_ENTITIES = "select entity_id as id, number, 0 as replaced, 1 as arrivals from entity_outcomes where model = 'm'"

# How long a test waits: what is killed starts anew in a second, on a machine that others use too.
WITHIN_S = 60.0


@dataclass
class Teller:
    """A client that tells outcomes, a request at a time, each again until it is acknowledged, and keeps a log of it.

    told: of every outcome, by what it is about, the value that was acknowledged. errors: what was answered instead.
    """

    stub: Any
    size: int
    entities: bool = False
    told: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    errors: list[ServiceError] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)

    async def tell(self, rng: random.Random) -> None:
        """Tell of so many predictions, or entities, that nothing was told of before."""
        outcomes = [self._outcome(float(rng.randrange(10))) for _ in range(self.size)]
        request = outcome_pb2.RecordOutcomesRequest(parent="models/m", outcomes=outcomes)
        repeated = False
        while True:
            try:
                answer = await self.stub.RecordOutcomes(request, timeout=20)
                break
            except grpc.aio.AioRpcError as error:
                self.errors.append(from_rpc_error(error))
                repeated = True
        # All of a request is recorded, or nothing: an attempt that failed may have been written all the same.
        new = WAITING if self.entities else RECORDED
        allowed = ({new}, {REPEATED}) if repeated else ({new},)
        if set(answer.results) not in allowed:
            self.wrong += set(answer.results)
        self.requests += 1
        self.told |= {one.prediction_id or one.entity_id: one.number for one in outcomes}

    def _outcome(self, number: float) -> outcome_pb2.Outcome:
        one = outcome_pb2.Outcome(kind="label", number=number)
        one.observe_time.GetCurrentTime()
        if self.entities:
            one.entity_id = f"customer-{uuid.uuid4()}"
        else:
            first = names.first_prediction_id(datetime.now(UTC) - timedelta(hours=1)).int
            one.prediction_id = str(uuid.UUID(int=first | 7 << 76 | 2 << 62 | uuid.uuid4().int & (1 << 62) - 1))
        return one


async def test_outcomes_that_were_acknowledged_while_postgresql_was_killed_are_recorded_once(
    own_postgres: StackSettings, own_url: str, s3, tmp_path
):
    rng = random.Random(3)
    async with (
        real_monitor(own_url, s3, tmp_path, registry="127.0.0.1:1") as monitor,
        # One that asks a monitor also while its health says that it is not ready.
        grpc.aio.insecure_channel(monitor.target) as channel,
    ):
        stub: Any = outcome_pb2_grpc.OutcomeServiceStub(channel)
        tellers = [Teller(stub, 1), Teller(stub, 1), Teller(stub, BULK), Teller(stub, 20, entities=True)]
        stopping = asyncio.Event()

        async def go_on(teller: Teller) -> None:
            await eventually(lambda: monitor.runtime.health.ready, within=WITHIN_S)
            while not stopping.is_set():
                await teller.tell(rng)

        async with asyncio.TaskGroup() as group:
            for teller in tellers:
                group.create_task(go_on(teller))
            for _ in range(KILLS):
                await acknowledged(tellers)
                before = sum(len(one.errors) for one in tellers)
                kill_component(own_postgres, postgres.NAME)
                await eventually(lambda was=before: sum(len(one.errors) for one in tellers) > was, within=WITHIN_S)
            await acknowledged(tellers)
            stopping.set()
        errors = [error for teller in tellers for error in teller.errors]
        assert {(error.code, error.reason) for error in errors} == {(Code.UNAVAILABLE, "STORE_UNAVAILABLE")}
        assert all(error.retry_after_s for error in errors)
        assert [teller.wrong for teller in tellers] == [[]] * len(tellers)
    connection = await asyncpg.connect(own_url, timeout=30)
    try:
        rows = [*await connection.fetch(KEPT), *await connection.fetch(KEPT_OF_ENTITIES)]
    finally:
        await connection.close()
    told = {about: number for teller in tellers for about, number in teller.told.items()}
    assert {row["id"]: row["number"] for row in rows} == told
    assert len(rows) == len(told)
    assert {(row["replaced"], row["arrivals"]) for row in rows} == {(0, 1)}


@pytest.mark.long
async def test_alerts_that_begin_and_end_while_postgresql_is_killed_are_told_once_each(
    own_postgres: StackSettings, own_url: str
):
    versions = [f"v{number}" for number in range(VERSIONS)]
    rounds = [Severity.HIGH, Severity.NONE] * ROUNDS
    async with (
        Receiver.started() as receiver,
        alerting(own_url, webhook_timeout_s=1.0) as alerts,
    ):
        await eventually(lambda: alerts.database.there.is_set(), within=WITHIN_S)
        await alerts.put_webhook(receiver.url())
        for minute, severity in enumerate(rounds):
            # At once after it is written: judging, and telling, are under way.
            await observed(alerts, minute, severity, versions)
            kill_component(own_postgres, postgres.NAME)
            told = VERSIONS * (minute + 1)
            await eventually(lambda wanted=told: len(deliveries(receiver)) >= wanted, within=WITHIN_S)
        await eventually(lambda: settled(alerts, VERSIONS * ROUNDS), within=WITHIN_S)
    found = deliveries(receiver)
    # Sent again is allowed, under the id that it had; told again is not.
    assert len(found) == len(set(found.values())) == 2 * VERSIONS * ROUNDS
    order = [(one.json["data"]["name"], one.json["type"]) for one in receiver.received]
    for name in {name for name, _ in order}:
        assert list(dict.fromkeys(kind for about, kind in order if about == name)) == [OPENED, RESOLVED]


async def acknowledged(tellers: Sequence[Teller]) -> None:
    """Return when each was acknowledged something new, several times."""
    before = [teller.requests for teller in tellers]
    await eventually(
        lambda: all(teller.requests >= seen + 3 for teller, seen in zip(tellers, before, strict=True)), within=60
    )


async def observed(alerts: Alerts, minute: int, severity: Severity, versions: Sequence[str]) -> None:
    """Put a look at every version, as soon as the database takes it."""

    async def put() -> bool:
        try:
            await alerts.observe(*(alerts.looked(minute, severity, version=version) for version in versions))
        except ServiceError:
            return False
        return True

    await eventually(put, within=WITHIN_S)


def deliveries(receiver: Receiver) -> dict[str, tuple[str, str]]:
    """Return what was told: alert and event by the id of the delivery."""
    return {one.headers["Headrace-Delivery"]: (one.json["data"]["name"], one.json["type"]) for one in receiver.received}


async def settled(alerts: Alerts, ended: int) -> bool:
    """Whether all alerts are over, and nothing waits to be told."""
    try:
        over = await alerts.alerts(state=alert_pb2.Alert.STATE_RESOLVED, page_size=1000)
        waiting = (await alerts.webhook()).waiting
    except grpc.aio.AioRpcError:  # not ready yet after the last kill
        return False
    return len(over) == ended and waiting == 0
