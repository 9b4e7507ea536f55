"""What becomes of clients that use more than their budgets, and what stands idle."""

from datetime import UTC, datetime, timedelta

import pytest
from headrace_router.control.usage.decisions.budgets import (
    MAX_OVERRUNS,
    Action,
    Budget,
    Overrun,
    Period,
    budget_violations,
    overruns,
    period_at,
    spending,
)
from headrace_router.control.usage.decisions.idle import Presence, idle_pool
from headrace_router.control.usage.store import MAX_SPENT, UsageStore

from tests.kit.rows import each

NOW = datetime(2031, 2, 5, 13, 30, tzinfo=UTC)  # a Wednesday
MIDNIGHT = datetime(2031, 2, 6, tzinfo=UTC)


def budget(client="ada", model="*", period=Period.DAY, compute_s=10.0, refuse_above_s=20.0, name="b"):
    return Budget(name, client, model, period, compute_s, refuse_above_s)


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        (Period.HOUR, datetime(2031, 2, 5, 13, tzinfo=UTC), datetime(2031, 2, 5, 14, tzinfo=UTC)),
        (Period.DAY, datetime(2031, 2, 5, tzinfo=UTC), MIDNIGHT),
        (Period.WEEK, datetime(2031, 2, 3, tzinfo=UTC), datetime(2031, 2, 10, tzinfo=UTC)),
        (Period.MONTH, datetime(2031, 2, 1, tzinfo=UTC), datetime(2031, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_period_is_that_of_the_calendar_that_the_time_is_in(period, start, end):
    assert period_at(period, NOW) == (start, end)


def test_the_month_of_december_ends_with_the_year():
    assert period_at(Period.MONTH, datetime(2031, 12, 31, 23, tzinfo=UTC)).end == datetime(2032, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spent_s", "action"), [(10.0, Action.NONE), (10.1, Action.LOWER), (20.0, Action.LOWER), (20.1, Action.REFUSE)]
)
def test_above_its_budget_a_client_goes_behind_others_and_is_refused_further_on(spent_s, action):
    assert budget().action(spent_s) is action


def test_a_budget_without_a_limit_refuses_nobody():
    assert budget(refuse_above_s=0.0).action(1e9) is Action.LOWER


def test_a_budget_of_all_models_counts_them_together_and_one_of_a_model_that_alone():
    spent = {"ada": {"a": 6.0, "b": 6.0}, "bob": {"a": 50.0}}
    all_models, of_a = budget(), budget(model="a")

    assert overruns([all_models], {Period.DAY: spent}, NOW) == [Overrun("ada", "", Action.LOWER, MIDNIGHT)]
    assert overruns([of_a], {Period.DAY: spent}, NOW) == []


def test_a_budget_of_everybody_is_for_each_client_that_no_other_of_the_same_models_names():
    spent = {"ada": {"a": 15.0}, "bob": {"a": 15.0}, "": {"a": 99.0}}
    everybody, own = budget("*", name="all"), budget("bob", compute_s=100.0, refuse_above_s=0.0, name="bob")

    assert spending(everybody, [everybody, own], spent) == {"ada": 15.0}
    assert [one.client for one in overruns([everybody, own], {Period.DAY: spent}, NOW)] == ["ada"]


def test_of_several_budgets_of_a_client_the_hardest_counts_and_of_equal_ones_the_longest():
    spent = {Period.DAY: {"ada": {"a": 15.0}}, Period.HOUR: {"ada": {"a": 15.0}}}
    hour = budget(period=Period.HOUR, compute_s=1.0, refuse_above_s=2.0)

    assert overruns([budget(), hour], spent, NOW) == [
        Overrun("ada", "", Action.REFUSE, datetime(2031, 2, 5, 14, tzinfo=UTC))
    ]
    softer = budget(period=Period.HOUR, compute_s=1.0, refuse_above_s=0.0)
    assert overruns([softer, budget()], spent, NOW) == [Overrun("ada", "", Action.LOWER, MIDNIGHT)]


def test_of_more_overruns_than_can_be_told_those_that_are_refused_and_then_the_largest_are():
    spent = {f"c{n:05}": {"a": 11.0 + n / 1e4} for n in range(MAX_OVERRUNS + 5)} | {"z": {"a": 21.0}}
    found = overruns([budget("*")], {Period.DAY: spent}, NOW)

    assert len(found) == MAX_OVERRUNS
    assert {one.client for one in found} == {f"c{n:05}" for n in range(6, MAX_OVERRUNS + 5)} | {"z"}


def test_what_budgets_of_clients_cost_to_judge_does_not_grow_with_all_other_clients():
    class Looked(dict):
        looks = 0

        def __iter__(self):
            Looked.looks += 1
            return super().__iter__()

    spent = Looked({f"c{n}": {"a": 15.0} for n in range(100)})
    budgets = [budget(f"c{n}", name=f"b{n}") for n in range(50)]
    assert len(overruns(budgets, {Period.DAY: spent}, NOW)) == 50
    assert Looked.looks == 0
    assert len(overruns([*budgets, budget("*")], {Period.DAY: spent}, NOW)) == 100
    assert Looked.looks == 1


async def test_of_a_period_hours_that_nothing_is_added_to_any_more_are_summed_up_once():
    hours = dict.fromkeys(range(13), 1.0)  # of the day
    database = Hours(hours)
    kept = UsageStore(database)  # type: ignore[arg-type]
    for spent in (13.0, 14.0):
        now, found = await kept.spent({Period.DAY, Period.HOUR})
        assert (now, found[Period.DAY]) == (NOW, {"ada": {"a": spent}})
        assert found[Period.HOUR] == ({"ada": {"a": hours[13]}} if 13 in hours else {})
        hours[13] = hours.get(13, 0.0) + 1.0
    assert [span for span in database.asked if span[0].hour == 0] == [
        (MIDNIGHT - timedelta(days=1), NOW.replace(hour=12, minute=0))
    ]


class Hours:
    """A database that has used seconds by the hour of the day. asked: the spans that were summed up."""

    def __init__(self, used: dict[int, float]) -> None:
        self.used, self.asked = used, []

    async def repeatable(self, act):
        return await act(self)

    async def fetchval(self, _query):
        return NOW

    async def fetch(self, _query, start, end, limit):
        assert limit == MAX_SPENT
        self.asked.append((start, end))
        last = 24 if end.day != start.day else end.hour
        seconds = sum(used for hour, used in self.used.items() if start.hour <= hour < last)
        return [{"client": "ada", "model": "a", "compute_us": seconds * 1e6}] if seconds else []


@each(
    "wrong,field",
    [
        ({"client": ""}, "budget.client"),
        ({"client": "a\n"}, "budget.client"),
        ({"client": "a" * 257}, "budget.client"),
        ({"model": ""}, "budget.model"),
        ({"model": "A b"}, "budget.model"),
        ({"compute_s": -1.0}, "budget.compute_s"),
        ({"compute_s": float("nan"), "refuse_above_s": 0.0}, "budget.compute_s"),
        ({"compute_s": float("inf"), "refuse_above_s": 0.0}, "budget.compute_s"),
        ({"refuse_above_s": 9.0}, "budget.refuse_above_s"),
        ({"refuse_above_s": float("nan")}, "budget.refuse_above_s"),
    ],
)
def test_what_is_no_budget_is_named_by_its_field(wrong, field):
    assert [one.field for one in budget_violations(budget(**wrong))] == [field]
    assert not list(budget_violations(budget()))


def hours(*of: tuple[float, float]) -> list[Presence]:
    """Hours of a pool that end before now: present and busy seconds."""
    return [Presence(NOW - timedelta(hours=2 + n, minutes=30), "gpu", *one) for n, one in enumerate(of)]


def test_the_busiest_hour_says_how_many_replicas_are_enough_and_the_rest_is_spared():
    found = idle_pool(hours((4 * 3600, 3600), (4 * 3600, 2 * 3600), (4 * 3600, 0)), NOW)

    assert (found.present_hours, found.busy_hours, found.idle_hours, found.replicas) == (12.0, 3.0, 9.0, 4.0)
    assert found.enough(0.7) == (3, 3.0)
    assert found.advice(0.7, 3.0) == (
        "4 replicas on average were busy 25% of their time: 3 would have held the busiest hour at 70%, "
        "3 hours less, 9.00 saved"
    )


def test_of_the_hour_that_goes_on_the_part_that_has_passed_counts():
    present = [Presence(datetime(2031, 2, 5, 13, tzinfo=UTC), "gpu", 1800.0, 1260.0)]
    assert idle_pool(present, NOW).enough(0.7).replicas == 1
    assert idle_pool(present, NOW).enough(0.6).replicas == 2


def test_in_the_first_seconds_of_an_hour_no_more_replicas_are_needed_than_were_busy():
    began = datetime(2031, 2, 5, 13, tzinfo=UTC)
    found = idle_pool([Presence(began, "gpu", 20.0, 20.0)], began + timedelta(seconds=1))
    assert found.enough(1.0).replicas <= 4
    assert found.replicas <= 4


def test_a_pool_in_which_nothing_executed_may_go():
    found = idle_pool(hours((3600, 0)), NOW)
    assert found.enough(0.7) == (0, 1.0)
    assert "nothing executed" in found.advice(0.7, 0.0)
