"""What a store returns of rules, alerts and silences, what webhooks are to be sent, and that one decides at a time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from headrace_monitor.alert.decisions.transitions import AlertState
from headrace_monitor.alert.decisions.values import Alert, Key, Kind, Notification, Rule, Series, Silence, Webhook
from headrace_monitor.alert.evaluator import RuleEvaluator
from headrace_monitor.alert.observations import Observation
from headrace_servicekit.outbox.events import Format
from headrace_servicekit.testing import eventually
from headrace_statistics.severity import Severity

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LONG = timedelta(days=1000)
ONE = Key("errors", "fraud", "v1")
TWO = Key("errors", "fraud", "v2")
OTHER = Key("errors", "churn", "v1")
HOOK = Webhook(name="ops", url="https://ops.test/", secret="s", format=Format.SLACK)


def rule(name: str = "errors", model: str = "fraud") -> Rule:
    return Rule(name, model, "error_rate", above=0.05, window=5 * MINUTE)


def alert(key: Key = ONE, severity: Severity = Severity.MEDIUM) -> Alert:
    return Alert(None, key, "error_rate", severity, "too many errors", 0.5, False, False, NOON)


def series(key: Key = ONE, *, quiet_after: datetime = NOON) -> Series:
    return Series(key, 1, NOON, quiet_after, True, NOON)


def observed(minute: int, value: float = 0.5, model: str = "fraud", version: str = "v1") -> Observation:
    start = NOON + minute * MINUTE
    return Observation(model, version, "error_rate", start, start + MINUTE, value, Severity.NONE, "", rows=200)


def silence(model: str = "fraud", *, ends_in: timedelta = LONG, name: str = "") -> Silence:
    return Silence(None, model, name, datetime.now(UTC) + ends_in, "we know", "ann")


async def opened(rig, *alerts: Alert, of: tuple[Series, ...] = ()) -> list[Alert]:
    """Write new alerts; return them with their ids."""
    async with rig.store.transaction() as transaction:
        state = AlertState({}, {})
        for one in alerts:
            state.set_alert(one)
        for one in of:
            state.set_series(one)
        await transaction.save(state)
    shown = await rig.store.alerts(before=2**63 - 1, model=None, is_open=True, limit=100)
    by_key = {one.alert.key: one.alert for one in shown}
    return [by_key[one.key] for one in alerts]


async def changed(rig, alert: Alert, **fields: Any) -> Alert:
    """Write a change to an alert."""
    after = replace(alert, **fields)
    async with rig.store.transaction() as transaction:
        state = AlertState({}, {alert.key: alert})
        state.set_alert(after)
        await transaction.save(state)
    return after


async def test_a_rule_has_another_revision_after_each_change_and_stays_its_makers(rig):
    async with rig.store.transaction() as transaction:
        first = await transaction.put_rule(rule(), "ann")
        await transaction.put_rule(rule("more"), "ann")
    async with rig.store.transaction() as transaction:
        second = await transaction.put_rule(rule(model="churn"), "bob")
        assert await transaction.count_rules("ann") == (2, 2)
        assert await transaction.count_rules("bob") == (2, 0)
        assert await transaction.rule("errors") == second
        assert await transaction.rule("nothing") is None
    assert second.revision > first.revision
    assert [one.name for one in await rig.store.rules()] == ["errors", "more"]


async def test_a_deleted_rule_takes_its_series_along_and_leaves_its_alerts(rig):
    async with rig.store.transaction() as transaction:
        await transaction.put_rule(rule(), "ann")
    (written,) = await opened(rig, alert(), of=(series(),))
    async with rig.store.transaction() as transaction:
        assert (await transaction.of_versions([("fraud", "v1")])).series == {ONE: series()}
        await transaction.delete_rule("errors")
        await transaction.delete_rule("errors")
    async with rig.store.transaction() as transaction:
        state = await transaction.of_versions([("fraud", "v1")])
        assert (state.series, state.open) == ({}, {ONE: written})
        assert (await transaction.of_rule("errors")).open == {ONE: written}


async def test_nothing_of_a_transaction_that_fails_is_kept(rig):
    async def killed() -> None:
        async with rig.store.transaction() as transaction:
            await transaction.put_rule(rule(), "ann")
            await transaction.add_silence(silence())
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        await killed()
    assert (await rig.store.rules(), await rig.store.silences()) == ([], [])


async def test_a_transaction_that_only_validates_leaves_nothing(rig):
    async with rig.store.transaction(validate_only=True) as transaction:
        await transaction.put_rule(rule(), "ann")
        assert await transaction.rule("errors") is not None, "within it the rule is there"
    assert await rig.store.rules() == []


async def test_one_transaction_at_a_time_runs_and_others_may_wait_or_leave_it(rig):
    order: list[str] = []

    async def second() -> None:
        async with rig.store.transaction() as transaction:
            order.append("second")
            assert await transaction.rule("errors") is not None

    async with rig.store.transaction() as transaction:
        async with rig.store.transaction_if_free() as refused:
            assert refused is None
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        await transaction.put_rule(rule(), "ann")
        order.append("first")
    await waiting
    assert order == ["first", "second"]
    async with rig.store.transaction_if_free() as lent:
        assert lent is not None


async def test_observations_are_pending_in_the_order_of_time_until_they_are_evaluated(rig):
    assert await rig.store.lag_s() == 0.0
    await rig.put([observed(2), observed(0), observed(1, version="v2")])
    await rig.put([observed(0, value=0.9)])
    assert await rig.store.lag_s() > 0.0
    async with rig.store.transaction() as transaction:
        pending = await transaction.pending_observations(2)
        assert [one for _, one in pending] == [observed(0), observed(1, version="v2")]
        await transaction.mark_evaluated([number for number, _ in pending])
    async with rig.store.transaction() as transaction:
        assert [one for _, one in await transaction.pending_observations(2)] == [observed(2)]


async def test_earlier_observations_reach_as_far_back_as_a_rule_needs(rig):
    await rig.put([observed(minute) for minute in range(6)] + [observed(3, version="v2"), observed(3, model="churn")])
    async with rig.store.transaction() as transaction:
        found = await transaction.earlier([observed(4), observed(5)], {"error_rate": 2 * MINUTE})
    times = {place: sorted(one.window_start for one in some) for place, some in found.items()}
    assert times == {("fraud", "v1", "error_rate"): [NOON + minute * MINUTE for minute in (3, 4, 5)]}


async def test_alerts_are_listed_latest_first_by_model_and_by_whether_they_are_open(rig):
    one, two, other = await opened(rig, alert(), alert(TWO), alert(OTHER))
    over = await changed(rig, two, resolve_time=NOON + MINUTE)

    async def listed(before: int = 2**63 - 1, model: str | None = None, is_open: bool | None = None, limit: int = 9):
        shown = await rig.store.alerts(before=before, model=model, is_open=is_open, limit=limit)
        return [view.alert for view in shown]

    assert await listed() == [other, over, one]
    assert await listed(limit=2) == [other, over]
    assert await listed(before=other.id or 0) == [over, one]
    assert await listed(model="fraud", is_open=True) == [one]
    assert await listed(is_open=False) == [over]
    assert [view.alert async for view in rig.store.open()] == [one, other]
    assert sorted(await rig.store.open_counts()) == [("churn", 2, 1), ("fraud", 2, 1)]
    assert (await rig.store.alert(over.id or 0)).alert == over
    assert await rig.store.alert(2**62) is None
    async with rig.store.transaction() as transaction:
        assert await transaction.alert(over.id or 0) == over
        assert await transaction.alert(2**62) is None


async def test_changes_are_told_once_each_in_the_order_of_the_last_ones(rig):
    before = await rig.store.position()
    one, two = await opened(rig, alert(), alert(TWO))
    worse = await changed(rig, one, severity=Severity.HIGH)
    changes = await rig.store.changed_since(before.sequence, limit=9)
    assert [view.alert for view in changes] == [two, worse]
    after = await rig.store.position()
    assert (after.incarnation, after.sequence) == (before.incarnation, changes[-1].sequence)
    assert await rig.store.changed_since(after.sequence, limit=9) == []
    assert len(await rig.store.changed_since(before.sequence, limit=1)) == 1


async def test_a_silence_is_seen_at_its_alerts_from_its_beginning_to_its_end(rig):
    one, other = await opened(rig, alert(), alert(OTHER))
    start = await rig.store.position()
    async with rig.store.transaction() as transaction:
        added = await transaction.add_silence(silence())
        await transaction.add_silence(silence(name="another rule"))
        assert await transaction.count_silences("ann") == (2, 2)
        assert await transaction.count_silences("bob") == (2, 0)
        assert await transaction.silence(added.id or 0) == added
        assert await transaction.silence(2**62) is None
    assert [(view.alert, view.silenced) for view in await rig.store.changed_since(start.sequence, limit=9)] == [
        (one, True)
    ]
    assert [view.silenced async for view in rig.store.open()] == [True, False]
    middle = await rig.store.position()
    async with rig.store.transaction() as transaction:
        await transaction.end_silence(added)
    assert [view.silenced for view in await rig.store.changed_since(middle.sequence, limit=9)] == [False]
    assert [found.rule for found in await rig.store.silences()] == ["another rule"]
    assert not (await rig.store.alert(other.id or 0)).silenced


async def test_a_webhook_is_sent_of_each_opening_worsening_and_end_once(rig):
    await rig.put_webhook(HOOK)
    (one,) = await opened(rig, alert())
    await changed(rig, one)
    worse = await changed(rig, one, severity=Severity.HIGH)
    await changed(rig, worse, resolve_time=NOON + MINUTE)
    sent = [(told.webhook, told.alert, told.kind) for told in await rig.notifications()]
    assert sent == [("ops", one.id, kind) for kind in (Kind.OPENED, Kind.ESCALATED, Kind.RESOLVED)]


async def test_a_new_webhook_is_sent_of_what_is_open_once(rig):
    (one,) = await opened(rig, alert())
    for _ in range(2):
        await rig.put_webhook(HOOK)
    assert await rig.notifications() == [Notification("ops", one.id or 0, Kind.OPENED, Severity.MEDIUM)]


async def test_alerts_that_open_while_their_webhook_is_written_are_sent_once_each(rig):
    versions = [replace(ONE, version=f"v{number}") for number in range(8)]
    async with asyncio.timeout(20):
        await asyncio.gather(
            *(rig.put_webhook(HOOK) for _ in versions), *(opened(rig, alert(version)) for version in versions)
        )
    told = await rig.notifications()
    assert len(told) == len({one.alert for one in told}) == len(versions)


async def test_what_a_silence_held_back_is_sent_at_its_end(rig):
    await rig.put_webhook(HOOK)
    async with rig.store.transaction() as transaction:
        await transaction.add_silence(silence(ends_in=0.3 * timedelta(seconds=1)))
    await opened(rig, alert())
    assert await rig.notifications() == []

    async def ended() -> bool:
        async with rig.store.transaction() as transaction:
            await transaction.end_silences()
        return bool(await rig.notifications())

    await eventually(ended)
    assert await rig.store.silences() == []


async def test_an_alert_without_data_for_long_is_found_until_it_is_marked(rig):
    async with rig.store.transaction() as transaction:
        await transaction.put_rule(rule(), "ann")
    (one, _) = await opened(rig, alert(), alert(TWO), of=(series(), series(TWO, quiet_after=datetime.now(UTC) + LONG)))
    async with rig.store.transaction() as transaction:
        assert (await transaction.gone_quiet()).open == {ONE: one}
    await changed(rig, one, quiet_since=NOON)
    async with rig.store.transaction() as transaction:
        assert (await transaction.gone_quiet()).open == {}


async def test_what_is_old_and_over_is_removed(rig):
    async with rig.store.transaction() as transaction:
        await transaction.put_rule(rule(), "ann")
    await rig.put_webhook(HOOK)
    one, two = await opened(rig, alert(), alert(TWO), of=(series(), series(TWO)))
    await changed(rig, two, resolve_time=NOON)
    await rig.put([observed(0), observed(1)])
    async with rig.store.transaction() as transaction:
        await transaction.mark_evaluated([(await transaction.pending_observations(1))[0][0]])
    soon = -timedelta(minutes=1)
    while await rig.store.expire(observations=soon, series=soon, alerts=soon):
        pass
    assert [view.alert for view in await rig.store.alerts(before=2**62, model=None, is_open=None, limit=9)] == [one]
    assert {told.alert for told in await rig.notifications()} == {one.id}
    async with rig.store.transaction() as transaction:
        assert [found for _, found in await transaction.pending_observations(9)] == [observed(1)]
        assert await transaction.earlier([observed(1)], {"error_rate": LONG}) == {
            ("fraud", "v1", "error_rate"): [observed(1)]
        }
        assert set((await transaction.of_versions([("fraud", "v1"), ("fraud", "v2")])).series) == {ONE}


async def test_a_change_wakes_those_who_wait_for_one(rig):
    async with aclosing(rig.store.wakes()) as wakes:
        woken = asyncio.ensure_future(anext(wakes))

        async def told() -> bool:  # whoever listens too late misses a hint
            async with rig.store.transaction() as transaction:
                await transaction.end_silence(await transaction.add_silence(silence()))
            return woken.done()

        await eventually(told)
        await woken


async def test_rules_evaluated_on_observations_open_an_alert_and_end_it(rig):
    async with rig.store.transaction() as transaction:
        await transaction.put_rule(rule(), "ann")
    evaluator = RuleEvaluator(rig.store)
    await rig.put([observed(0, 0.5)])
    await evaluator.step()
    (shown,) = [view async for view in rig.store.open()]
    assert shown.alert.key == ONE
    await rig.put([observed(minute, 0.0) for minute in range(1, 8)])
    await evaluator.step()
    assert [view async for view in rig.store.open()] == []
