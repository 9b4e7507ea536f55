"""What a stack's monitor knows of a model, made and asked through the front door.

known = await made(operator, stack)          # predictions, outcomes, a reference, an alert
assert await monitored(operator, known.end) == known
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from headrace_monitor.alert.observations import Observations
from headrace_monitor.storage.schema import Database
from headrace_observe import Outcome
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import eventually
from headrace_stack.components import postgres
from headrace_statistics.severity import Severity

from tests.kit.monitor.alerting import looked
from tests.kit.stack.operator import Operator
from tests.kit.stack.running import RunningStack

# A reference takes 50 at least.
PREDICTIONS = 60
WITHIN_S = 90.0
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Known:
    """What was known up to an end. traffic: answers by version and code. logged, outcomes: by prediction. columns: of
    the reference, with their rows. alerts: name, rule, version, severity and state."""

    end: datetime
    traffic: dict[tuple[str, int], int]
    logged: dict[str, list[float]]
    outcomes: dict[str, float]
    columns: dict[str, int]
    alerts: set[tuple[str, str, str, int, int]]


async def made(operator: Operator, stack: RunningStack) -> Known:
    """Predict, tell outcomes, freeze a reference and raise an alert; return what is known once all of it is."""
    begin, rng = datetime.now(UTC) - timedelta(seconds=1), np.random.default_rng(11)
    client, model = operator.client, operator.model
    rows = rng.normal(size=(PREDICTIONS, 1, 4)).astype(np.float32)
    ids = [(await client.predict(model, {"features": row})).prediction_id for row in rows]
    outcomes = [Outcome(float(n % 3), prediction_id=one) for n, one in enumerate(ids)]
    assert (await client.outcomes.record(model, outcomes)).counts == {"recorded": PREDICTIONS}
    end = datetime.now(UTC)
    # As drift does that is beyond what a stack that is minutes old can find; no real look at that version ends it.
    async with Database(Address(postgres.url(stack.settings, "monitor")), size=1) as database:
        await database.migrate()
        async with database.transaction() as connection:
            seen = looked(end - timedelta(minutes=2), 0, Severity.HIGH, model=model, version="v0")
            await Observations.put(connection, [seen])

    async def all_is_known() -> Known | None:
        sql = f"select count(*) as n from predictions where model = '{model}'"
        if (await client.monitor.query(sql)).table().to_pydict()["n"] != [PREDICTIONS]:
            return None
        if not [one for one in await client.alerts.list(model=model) if one.rule == "drift-high"]:
            return None
        if sum(one.count for one in (await client.monitor.traffic(model, start=begin - _HOUR)).traffic) != PREDICTIONS:
            return None
        await client.monitor.freeze_reference(model, "v1", start=begin, end=end)
        return await monitored(operator, datetime.now(UTC))

    known = await eventually(all_is_known, within=WITHIN_S, every=0.5)
    assert known is not None
    assert set(known.logged) == set(known.outcomes) == set(ids)
    assert set(known.columns) >= {"features.0", "features.3"}
    return known


async def monitored(operator: Operator, end: datetime) -> Known:
    """Return what is known of predictions before an end."""
    client, model = operator.client, operator.model
    traffic = (await client.monitor.traffic(model, start=end - _HOUR, end=end)).traffic
    logged = await client.monitor.query(
        f"select * from predictions where model = '{model}' and prediction_id is not null", end=end, max_rows=100_000
    )
    outcomes = await client.monitor.query(f"select * from outcomes where model = '{model}'", max_rows=100_000)
    alerts = await client.alerts.list(model=model)
    counted: dict[tuple[str, int], int] = {}
    for one in traffic:
        counted[one.version, one.code] = counted.get((one.version, one.code), 0) + one.count
    return Known(
        end,
        counted,
        {row["prediction_id"]: [row[f"feature.features.{n}"] for n in range(4)] for row in logged.table().to_pylist()},
        {row["prediction_id"]: row["number"] for row in outcomes.table().to_pylist()},
        {one.name: one.rows for one in (await client.monitor.get_reference(model, "v1")).columns},
        {(one.name, one.rule, one.version, one.severity, one.state) for one in alerts},
    )
