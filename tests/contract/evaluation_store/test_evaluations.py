"""Which windows are due for a drift evaluation, and what a store returns of the evaluations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headrace_monitor.judge.drift.decisions.evaluation import DriftEvaluation
from headrace_monitor.judge.drift.store import MAX_PAGE_BYTES, DueWindow
from headrace_statistics.drift.reports import DriftReport, Kind, Test
from headrace_statistics.references import Source
from headrace_statistics.severity import Severity

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALARM = DriftReport("age", Kind.DATA, Test.PSI, 900, 800, 0.05, effect=0.5, p=0.001, alarm=True, severity=Severity.HIGH)


def window(hour: int, *, model: str = "m", version: str = "v1", reference: int = 1, length: timedelta = HOUR):
    return DueWindow(reference, model, version, NOON + hour * HOUR, NOON + hour * HOUR + length)


def of(due: DueWindow, *, rows: int = 1000, reports: tuple[DriftReport, ...] = (), advice: str = "") -> DriftEvaluation:
    return DriftEvaluation(
        *(due.model, due.version, due.reference, Source.ARTIFACT, due.start, due.end, rows, reports), advice=advice
    )


async def due(rig, *, until: int = 24, since: int = -24, limit: int = 10) -> list[DueWindow]:
    return await rig.store.due(3600, NOON + until * HOUR, NOON + since * HOUR, limit=limit)


async def test_windows_are_due_once_in_the_order_of_their_ends_until_they_are_evaluated(rig):
    later, first, other = window(1), window(0), window(0, model="n", reference=2)
    for one in (later, first, other):
        await rig.add_window(one)
    assert await due(rig) == [first, other, later]
    assert await due(rig, limit=2) == [first, other]
    assert await rig.store.add(of(first))
    assert await due(rig) == [other, later]


async def test_only_windows_of_the_length_and_the_time_are_due(rig):
    await rig.add_window(window(0, length=2 * HOUR))
    await rig.add_window(window(5))
    assert await due(rig, until=6) == [window(5)]
    assert await due(rig, until=5) == []
    assert await due(rig, since=5) == [window(5)]
    assert await due(rig, since=6) == []


async def test_only_the_current_reference_of_a_version_has_windows_that_are_due(rig):
    await rig.add_window(window(0, reference=1))
    await rig.add_window(window(1, reference=2))
    assert await due(rig) == [window(1, reference=2)]


async def test_a_window_has_one_evaluation_whoever_makes_another(rig):
    assert await rig.store.add(of(window(0), advice="first"))
    assert not await rig.store.add(of(window(0), advice="second"))
    evaluations, more = await rig.store.page("m", "v1", None, 10)
    assert [one.advice for _, one in evaluations] == ["first"]
    assert not more


async def test_pages_go_from_the_latest_to_the_first_of_one_version(rig):
    for hour in range(5):
        await rig.store.add(of(window(hour), rows=hour))
        await rig.store.add(of(window(hour, version="v2"), rows=100 + hour))
    first, more = await rig.store.page("m", "v1", None, 3)
    assert ([one.rows for _, one in first], more) == ([4, 3, 2], True)
    second, more = await rig.store.page("m", "v1", first[-1][0], 3)
    assert ([one.rows for _, one in second], more) == ([1, 0], False)
    assert await rig.store.page("m", "v1", second[-1][0], 3) == ([], False)
    assert await rig.store.page("other", "v1", None, 3) == ([], False)


async def test_a_page_ends_where_it_would_be_too_large_and_has_at_least_one(rig):
    for hour in range(3):
        await rig.store.add(of(window(hour), advice="x" * (MAX_PAGE_BYTES * 3 // 5)))
    page, more = await rig.store.page("m", "v1", None, 3)
    assert (len(page), more) == (1, True)


async def test_the_last_calm_evaluation_is_of_enough_rows_without_drift_before_a_time(rig):
    calm, drifted, few = of(window(1)), of(window(2), reports=(ALARM,)), of(window(3), rows=199)
    for evaluation in (of(window(0)), calm, drifted, few, of(window(4))):
        await rig.store.add(evaluation)

    async def last(until: int, reference: int = 1) -> tuple[datetime, datetime] | None:
        return await rig.store.last_without_alarm("m", "v1", reference, NOON + until * HOUR)

    assert await last(24) == (window(4).start, window(4).end)
    assert await last(4) == (window(1).start, window(1).end)
    assert await last(0) is None
    assert await last(24, reference=2) is None


async def test_evaluations_of_windows_that_ended_before_a_time_expire(rig):
    for hour in range(3):
        await rig.store.add(of(window(hour), rows=hour))
    await rig.store.expire(window(1).end)
    evaluations, _ = await rig.store.page("m", "v1", None, 10)
    assert [one.rows for _, one in evaluations] == [2, 1]
