"""Which problems of pools are told as alerts."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from headrace_autoscaler.acting.reporter import report_of
from headrace_autoscaler.decisions.actuation import Acting, Ask, ReplicaStatus, acknowledged, asked, failed, judged
from headrace_autoscaler.decisions.alerts import CLEAR_AFTER_S, RAISE_AFTER_S, Findings, follow, raised
from headrace_autoscaler.decisions.problems import Problem, problems
from headrace_scaling.decisions.decision import Concern, Decision, Rule
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.deployment.topology import CHECKOUT

BLIND = (Problem.SIGNALS, "requests_per_s is stale: the pool is not scaled down.")
REFUSED = (Problem.ACTUATOR, "no quota (attempt 1).")


def told(*looks: tuple[float, Sequence[tuple[Problem, str]]]) -> list[Problem]:
    """Return the kinds that are told after these looks at a pool."""
    findings: Findings = {}
    for now_s, found in looks:
        findings = follow(findings, [("gpu", found)], now_s)
    return [kind for (_, kind), _ in raised(findings)]


def test_one_look_that_fails_is_told_to_nobody_and_one_that_lasts_is():
    assert told((0, [BLIND])) == []
    assert told((0, [BLIND]), (5, []), (60, [BLIND])) == []
    assert told((0, [BLIND]), (RAISE_AFTER_S, [BLIND])) == [Problem.SIGNALS]


def test_what_comes_and_goes_is_one_alert_until_it_has_been_away_for_long():
    begun = [(0.0, [REFUSED]), (RAISE_AFTER_S, [REFUSED])]
    assert told(*begun, (20, []), (40, [])) == [Problem.ACTUATOR]
    assert told(*begun, (20, []), (40, [REFUSED]), (90, [])) == [Problem.ACTUATOR]
    assert told(*begun, (RAISE_AFTER_S + CLEAR_AFTER_S + 1, [])) == []


@given(st.lists(st.booleans(), max_size=60))
def test_nothing_is_told_that_was_not_found_within_the_last_minute(looks: list[bool]):
    findings: Findings = {}
    for at, bad in enumerate(looks):
        findings = follow(findings, [("gpu", [BLIND] if bad else [])], 5.0 * at)
        if list(raised(findings)):
            assert any(looks[max(0, at - 12) : at + 1])
        if at >= 3 and all(looks[at - 3 : at + 1]):
            assert list(raised(findings))


def test_a_report_names_pools_kinds_and_sentences_under_the_fence():
    findings: Findings = {}
    for now_s in (0.0, RAISE_AFTER_S):
        findings = follow(findings, [("gpu", [BLIND, REFUSED]), ("cpu", [(Problem.AT_MAX, "Full.")])], now_s)
    report = report_of(findings, 7)
    assert (report.reporter, report.epoch) == ("autoscaler", 7)
    assert [(one.kind, one.subject) for one in report.alerts] == [
        ("actuator", "pools/gpu"),
        ("at-max", "pools/cpu"),
        ("signals", "pools/gpu"),
    ]
    assert report.alerts[0].summary == "Pool gpu: no quota (attempt 1)."


@pytest.fixture
def quiet() -> Decision:
    """Return a decision that found nothing wrong."""
    return Decision("gpu", 0.0, 1, 1, 0, 1, 1, next(iter(Rule)), None, ())


def found(decision: Decision, acting: Acting, now_s: float) -> list[Problem]:
    return [kind for kind, _ in problems(decision, acting, 0, "", now_s=now_s, deadline_s=120.0)]


def test_an_actuator_is_a_problem_from_its_first_failure_until_it_has_obeyed(quiet: Decision):
    acting = failed(asked(Acting(), 1, Ask(3), 0.0), "no quota", 1.0)
    assert found(quiet, acting, 1.0) == [Problem.ACTUATOR]
    acting = asked(acting, 1, Ask(3), 5.0)
    assert found(quiet, acting, 5.0) == [Problem.ACTUATOR], "it is asked again, and has not obeyed"
    acting = judged(acknowledged(acting, 6.0), ReplicaStatus(3, ready=3, coming=0, missing=0), 7.0, 120.0)
    assert found(quiet, acting, 7.0) == []


def test_an_actuator_that_obeys_after_all_is_no_problem_any_more(quiet: Decision):
    acting = failed(asked(Acting(), 1, Ask(3), 0.0), "3 acknowledged, 2 ready after 60 s", 61.0)
    acting = judged(acting, ReplicaStatus(3, ready=3, coming=0, missing=0), 62.0, 60.0)
    assert found(quiet, acting, 62.0) == []


def test_an_actuator_that_does_not_answer_for_as_long_as_a_start_takes_is_a_problem(quiet: Decision):
    acting = asked(Acting(), 1, Ask(3), 0.0)
    assert found(quiet, acting, 100.0) == []
    assert found(quiet, acting, 121.0) == [Problem.ACTUATOR]


def test_a_budget_is_told_of_before_it_bites(quiet: Decision):
    warned = replace(quiet, concerns=(Concern.BUDGET_NEARLY_USED,))
    assert found(warned, Acting(), 0.0) == [Problem.BUDGET]


@pytest.mark.parametrize("page", ["alerts.md", "operations.md"])
def test_every_kind_of_problem_is_in_the_runbook(page: str):
    text = (CHECKOUT / "docs" / page).read_text(encoding="utf-8")
    assert [kind for kind in Problem if f"`autoscaler/{kind.value.replace('_', '-')}`" not in text] == []
