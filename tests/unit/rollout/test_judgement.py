"""What counts of both versions say of a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from headrace_rollout.decisions import judgement
from headrace_rollout.decisions.counts import Arms, Count, Counts, counted
from headrace_rollout.decisions.judgement import Record
from headrace_rollout.decisions.policies import Policy, Step, Strategy
from headrace_rollout.decisions.rollouts import Decision, Verdict
from headrace_rollout.documents import record_json, record_of
from headrace_servicekit.errors import Code

from tests.kit.rollout.rollouts import CANARY, MINUTE, NOW

SECOND = timedelta(seconds=1)
SWITCH = Policy(Strategy.BLUE_GREEN, (Step(1.0, MINUTE),))
NEW, OLD = ("v2", "rollout"), ("v1", "production")
ARMS = Arms(candidate=NEW, baseline=OLD, alone=False)
FAST, SLOW = judgement.bucket_of(0.010), judgement.bucket_of(0.100)


def answers(arm: tuple[str, str], count: int, *, bucket: int = FAST, **how) -> Count:
    """Return so many answers that the version computed."""
    told = {"online": True, "code": 0, "count": count, "first_bucket": bucket, "durations": (count,)}
    return Count(*arm, **{**told, **how})


def errors(arm: tuple[str, str], count: int, code: Code = Code.INTERNAL) -> Count:
    return Count(*arm, online=False, code=code, count=count)


def judged(
    *ticks: tuple[Count, ...],
    policy: Policy = CANARY,
    arms: Arms = ARMS,
    step: int = 0,
    silent_s: int = 0,
    past: Sequence[Sequence[Count]] = (),
) -> tuple[Verdict, Record]:
    """Return what a tick each second leads to, and what is kept. silent_s: without any counts after them. past: of
    the hour before.
    """
    record = judgement.begin(policy, "", NOW, past)
    now = NOW
    for counts in ticks:
        now += SECOND
        kept = record_of(record_json(record))
        record = judgement.taken(kept, policy, arms, Counts(now, SECOND, counts), "c", step, NOW)
    now += timedelta(seconds=silent_s)
    return judgement.verdict(record, policy, step, NOW, now), record


GOOD = (answers(NEW, 10), answers(OLD, 190))


def test_an_outright_failure_at_200_requests_a_second_is_seen_within_seconds():
    failing = (errors(NEW, 10), answers(OLD, 190))
    decisions = [judged(*[failing] * seconds)[0].decision for seconds in range(1, 6)]
    assert decisions[3:] == [Decision.ROLL_BACK] * 2, decisions
    verdict, record = judged(*[failing] * 4)
    assert "errors" in verdict.reason
    assert record.bad_from["errors"] == NOW  # not before the first request of the version


def test_an_equal_version_is_proven_and_goes_on_after_its_dwell():
    early, _ = judged(*[GOOD] * 20)
    late, _ = judged(*[GOOD] * 120)
    assert (early.decision, late.decision) == (Decision.HOLD, Decision.ADVANCE)


def test_what_a_cache_gave_says_nothing_of_a_version():
    cached = Count(*OLD, online=False, code=0, count=800)
    verdict, _ = judged(*[(answers(NEW, 10), answers(OLD, 38), cached)] * 200)
    assert verdict.decision is Decision.ADVANCE
    assert {one.metric: one.baseline_count for one in verdict.metrics}["errors"] == 38 * 200


@pytest.mark.parametrize(
    ("bad", "metric"),
    [
        pytest.param(errors(NEW, 5, Code.DEADLINE_EXCEEDED), "timeouts", id="timeouts"),
        pytest.param(answers(NEW, 5, invalid=5), "invalid_outputs", id="NaN"),
        pytest.param(answers(NEW, 5, bucket=SLOW), "slo", id="slow"),
        pytest.param(Count(*NEW, online=False, code=0, count=5, degraded=5), "errors", id="what stood in for it"),
    ],
)
def test_each_way_to_be_worse_leads_to_a_rollback_that_names_it(bad: Count, metric: str):
    learning = [GOOD] * 3  # of what is slow
    verdict, _ = judged(*learning, *[(answers(NEW, 5), bad, answers(OLD, 190))] * 60)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.reason.startswith(metric)


def test_callers_mistakes_meet_both_versions_alike_and_take_none_back():
    mistakes = (errors(NEW, 2, Code.INVALID_ARGUMENT), errors(OLD, 38, Code.INVALID_ARGUMENT))
    verdict, _ = judged(*[(*GOOD, *mistakes)] * 120)
    assert verdict.decision in (Decision.ADVANCE, Decision.HOLD)
    # Alone at the end nobody tells them from the version's.
    refusing = (answers(NEW, 100), errors(NEW, 100, Code.INVALID_ARGUMENT))
    alone, _ = judged(*[refusing] * 60, arms=replace(ARMS, alone=True))
    assert alone.decision is not Decision.ROLL_BACK


def test_a_version_that_refuses_what_the_one_before_took_is_taken_back():
    refusing = (errors(NEW, 10, Code.INVALID_ARGUMENT), answers(OLD, 190))
    assert judged(*[refusing] * 5)[0].decision is Decision.ROLL_BACK


def test_a_version_that_refuses_nearly_everything_once_it_is_alone_is_taken_back():
    refusing = (answers(NEW, 10), errors(NEW, 190, Code.INVALID_ARGUMENT))
    verdict, record = judged(*[refusing] * 5, arms=replace(ARMS, alone=True))
    assert verdict.decision is Decision.ROLL_BACK
    assert record.bad_from["errors"] == NOW


def test_slow_is_half_as_long_again_as_the_slowest_hundredth_before_unless_the_policy_says():
    _, record = judged(*[GOOD] * 2)
    assert record.slow_bucket == FAST + 1 + round(64 * 0.585)
    _, told = judged(GOOD, policy=replace(CANARY, slow_after=timedelta(milliseconds=50)))
    assert told.slow_bucket == judgement.bucket_of(0.05)
    _, few = judged((answers(NEW, 1), answers(OLD, 20)))
    assert few.slow_bucket is None


def test_without_data_growth_stops_and_after_the_timeout_the_version_is_taken_back():
    assert judged(*[GOOD] * 120, silent_s=6)[0].decision is Decision.NO_DATA
    assert judged(*[GOOD] * 120, silent_s=61)[0].decision is Decision.ROLL_BACK


def test_a_data_plane_that_is_missing_is_no_data_either():
    record = judgement.begin(CANARY, "", NOW)
    for second in range(1, 10):
        now = NOW + second * SECOND
        counts = Counts(now, SECOND, GOOD, missing=("data-1",))
        record = judgement.taken(record, CANARY, ARMS, counts, "", 0, NOW)
    assert judgement.verdict(record, CANARY, 0, NOW, NOW + 9 * SECOND).decision is Decision.NO_DATA


def block(*, asked: int = 60_000, refused: int = 0, failed: int = 0, slow: int = 0, invalid: int = 0) -> list[Count]:
    """Return what the version before was asked in five minutes."""
    return [
        answers(OLD, asked - refused - failed - slow, invalid=invalid),
        answers(OLD, slow, bucket=SLOW),
        errors(OLD, refused, Code.INVALID_ARGUMENT),
        errors(OLD, failed),
    ]


QUIET_HOUR = [block(refused=600, failed=30)] * 12
ALONE = replace(ARMS, alone=True)


@pytest.mark.parametrize(
    ("bad", "past", "seconds"),
    [
        pytest.param(errors(NEW, 67, Code.INVALID_ARGUMENT), QUIET_HOUR, 10, id="a third refused"),
        pytest.param(errors(NEW, 10), QUIET_HOUR, 10, id="a twentieth failed"),
        pytest.param(errors(NEW, 10, Code.DEADLINE_EXCEEDED), QUIET_HOUR, 10, id="a twentieth too late"),
        pytest.param(answers(NEW, 10, invalid=10), QUIET_HOUR, 10, id="a twentieth invalid"),
        pytest.param(answers(NEW, 10, bucket=SLOW), QUIET_HOUR, 30, id="a twentieth slow"),
        pytest.param(
            errors(NEW, 10),
            [*QUIET_HOUR[:11], block(asked=500, refused=499)],
            10,
            id="a twentieth failed, after minutes of mistakes alone",
        ),
    ],
)
def test_a_version_that_serves_alone_is_held_against_the_hour_before(bad: Count, past, seconds: int):
    ticks = [(answers(NEW, 200 - bad.count), bad)] * seconds
    verdict, _ = judged(*ticks, arms=ALONE, past=past, policy=SWITCH)
    assert verdict.decision is Decision.ROLL_BACK
    # Of which nothing is known by itself.
    assert judged(*ticks, arms=ALONE, policy=SWITCH)[0].decision is not Decision.ROLL_BACK


@pytest.mark.parametrize(
    ("bad", "past"),
    [
        pytest.param(errors(NEW, 40, Code.INVALID_ARGUMENT), QUIET_HOUR, id="one caller's mistakes"),
        pytest.param(errors(NEW, 80, Code.INVALID_ARGUMENT), [*QUIET_HOUR[:11], block(refused=15_000)], id="as before"),
        pytest.param(errors(NEW, 12), [*QUIET_HOUR[:11], block(failed=3000)], id="the worst minutes"),
        pytest.param(answers(NEW, 12, invalid=12), [*QUIET_HOUR[:11], block(invalid=3000)], id="invalid before"),
        pytest.param(answers(NEW, 4, bucket=SLOW), [*QUIET_HOUR[:11], block(slow=1200)], id="slow before"),
        pytest.param(errors(NEW, 67, Code.INVALID_ARGUMENT), [], id="nothing known"),
        pytest.param(errors(NEW, 67, Code.INVALID_ARGUMENT), [block(asked=99)] * 12, id="too little known"),
    ],
)
def test_what_the_hour_before_explains_takes_no_version_back(bad: Count, past):
    ticks = [(answers(NEW, 200 - bad.count), bad)] * 300
    assert judged(*ticks, arms=ALONE, past=past, policy=SWITCH)[0].decision is not Decision.ROLL_BACK


def test_a_switch_learns_from_the_hour_before_what_is_slow_and_a_canary_from_the_version_beside_it():
    assert judged(past=QUIET_HOUR, policy=SWITCH)[1].slow_bucket == FAST + 1 + round(64 * 0.585)
    assert judged(past=QUIET_HOUR)[1].slow_bucket is None
    assert judged(past=[block(asked=199)], policy=SWITCH)[1].slow_bucket is None


def test_a_switch_to_a_cold_cache_that_makes_all_answers_slower_is_not_taken_back():
    # Of five times as many requests as were computed before, a third wait for others.
    cold = [(answers(NEW, 670), answers(NEW, 330, bucket=SLOW))] * 60
    warm = [(answers(NEW, 199), answers(NEW, 1, bucket=SLOW))] * 60
    verdict, record = judged(*cold, *warm, arms=ALONE, past=QUIET_HOUR, policy=SWITCH)
    assert record.history_rps == pytest.approx(198.0)
    assert verdict.decision is not Decision.ROLL_BACK
    ever, _ = judged(*cold, *[(answers(NEW, 140), answers(NEW, 60, bucket=SLOW))] * 30, arms=ALONE, past=QUIET_HOUR)
    assert ever.decision is not Decision.ROLL_BACK, "a canary's policy knows no slow answers yet"
    slow, _ = judged(
        *cold, *[(answers(NEW, 140), answers(NEW, 60, bucket=SLOW))] * 30, arms=ALONE, past=QUIET_HOUR, policy=SWITCH
    )
    assert slow.decision is Decision.ROLL_BACK


# Of one request in two seconds, in a pattern without a rhythm.
SPARSE = [1, 0, 0, 2, 0, 1, 0, 0, 1, 0]
SPARSE_HOUR = [block(asked=150)] * 12


def test_where_little_is_asked_one_request_in_a_second_excuses_no_slow_answers():
    half_slow = [
        (answers(NEW, n // 2), answers(NEW, n - n // 2, bucket=SLOW if at % 2 else FAST))
        for at, n in enumerate(SPARSE * 40)
    ]
    verdict, record = judged(*half_slow, arms=ALONE, past=SPARSE_HOUR, policy=SWITCH)
    assert record.history_rps == pytest.approx(0.5)
    assert (verdict.decision, verdict.metric) == (Decision.ROLL_BACK, "slo")


def test_where_little_is_asked_a_cold_cache_excuses_slow_answers_from_the_first_second_on():
    cold = [(answers(NEW, 2), answers(NEW, at % 2, bucket=SLOW)) for at in range(120)]
    verdict, record = judged(*cold, arms=ALONE, past=SPARSE_HOUR, policy=SWITCH)
    assert record.burdened(2, 1.0)
    assert verdict.decision is not Decision.ROLL_BACK
    as_ever, _ = judged(*cold, arms=ALONE, past=[block(asked=600)] * 12, policy=SWITCH)
    assert as_ever.decision is Decision.ROLL_BACK


def sticky_second(units: int, refused: int) -> Counts:
    """Return a second in which a canary refuses, of so many units that were not refused before."""
    counts = (answers(NEW, 100 - refused), errors(NEW, refused, Code.INVALID_ARGUMENT), answers(OLD, 1900))
    return Counts(NOW + SECOND, SECOND, counts, refused_units={NEW: units})


@pytest.mark.parametrize(
    ("units", "worse"),
    [
        pytest.param([1, *[0] * 19], False, id="one client that is refused all the time"),
        pytest.param([30] * 20, True, id="another thirty each second"),
    ],
)
def test_where_units_keep_their_version_each_that_is_refused_counts_once(units: list[int], worse: bool):
    policy = replace(CANARY, sticky=True)
    record, now = judgement.begin(policy, "", NOW), NOW
    for new in units:
        now += SECOND
        record = judgement.taken(record, policy, ARMS, replace(sticky_second(new, 30), time=now), "", 0, NOW)
    assert (judgement.verdict(record, policy, 0, NOW, now).decision is Decision.ROLL_BACK) is worse


def test_units_that_are_refused_within_what_is_tolerated_alone_are_not_counted():
    counts = sticky_second(30, 30)
    assert counted(counts, NEW, (), 0.0).erring_units == 30
    assert counted(counts, NEW, (), 0.2).erring_units == 10
    assert counted(counts, NEW, (), 0.5).erring_units == 0


def test_a_slower_median_is_found_although_a_few_slow_answers_hide_it():
    beside = [(answers(NEW, 50), answers(OLD, 920), answers(OLD, 30, bucket=SLOW + 200))] * 10
    slower = [(answers(NEW, 50, bucket=SLOW), answers(OLD, 920), answers(OLD, 30, bucket=SLOW + 200))] * 60
    verdict, record = judged(*beside, *slower)
    assert (verdict.decision, verdict.metric) == (Decision.ROLL_BACK, "slower_p90")
    assert record.slow == (SLOW + 201 + 37, FAST + 1 + 37, FAST + 1 + 101)
    declared, told = judged(*beside, *slower, policy=replace(CANARY, slow_after=timedelta(seconds=1)))
    assert (declared.decision, len(told.slow)) == (Decision.ADVANCE, 1)
