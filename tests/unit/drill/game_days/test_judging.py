"""A route holds when everybody is answered, by whom it says, and rightly; each reason why it did not is a sentence."""

from collections.abc import Sequence

import pytest
from headrace_drill.game_days.verdicts import (
    WELL,
    Bounds,
    Fault,
    Phase,
    PhaseResult,
    Reply,
    complete,
    judged,
    measured,
    passed,
)

from tests.kit.rows import each

BOUNDS = Bounds(error_share=0.05, recover_s=30)
OWN = Reply(5.0, 0, version="v2", matches=True)
FALLBACK = Reply(7.0, 0, version="v1", step="old", degraded=True)
LATE = Reply(1000.0, 0, error="DEADLINE_EXCEEDED")


def fault(replies: Sequence[Reply], *, hits: int = 9, recovered_s: float | None = 1.0) -> PhaseResult:
    return judged(Phase("dead", replies, hits, recovered_s), "v2", BOUNDS)


def well(replies: Sequence[Reply]) -> PhaseResult:
    return judged(Phase(WELL, replies), "v2", BOUNDS)


def test_a_phase_is_counted():
    found = fault([OWN] * 3 + [FALLBACK] * 16 + [LATE])
    assert (found.requests, found.own, dict(found.steps), dict(found.errors)) == (
        20,
        3,
        {"old": 16},
        {"DEADLINE_EXCEEDED": 1},
    )
    assert (found.p50_ms, found.p99_ms) == (7.0, 7.0)
    assert found.passed


@each(
    "found,said",
    [
        pytest.param(fault([FALLBACK] * 18 + [LATE] * 2), "2 of 20 requests got no answer", id="errors"),
        pytest.param(fault([OWN] * 20), "no fallback answered", id="no fallback"),
        pytest.param(fault([OWN] * 20, hits=0), "the fault met no call", id="no simulator"),
        pytest.param(
            fault([FALLBACK, Reply(5.0, 0, version="v2", matches=False)]), "1 wrong answers of v2", id="wrong"
        ),
        pytest.param(fault([FALLBACK], recovered_s=None), "did not answer again within 30 s", id="no recovery"),
        pytest.param(fault([]), "nothing was asked", id="nothing"),
        pytest.param(well([OWN, FALLBACK]), "1 of 2 requests were not answered by v2", id="degraded while well"),
        pytest.param(
            well([Reply(5.0, 0, version="v1")]), "1 of 1 requests were not answered by v2", id="another version"
        ),
    ],
)
def test_what_a_route_did_not_do_is_said(found: PhaseResult, said: str):
    assert not found.passed
    assert any(said in problem for problem in found.problems), found.problems


def test_answers_that_nobody_can_compare_are_not_called_wrong():
    assert fault([FALLBACK, Reply(5.0, 0, version="v2", matches=None)]).passed


def test_a_degraded_answer_differs_and_is_not_wrong():
    assert fault([Reply(5.0, 0, version="v1", step="old", degraded=True, matches=False)]).wrong == 0


def test_while_all_is_well_only_the_version_has_to_answer():
    assert well([OWN] * 20).passed


def test_a_game_day_passes_when_each_phase_does_and_counts_with_the_three_faults():
    phases = [judged(Phase(name, [FALLBACK], 1, 1.0), "v2", BOUNDS) for name in ("dead", "slow", "wrong")]
    assert passed(phases)
    assert complete(phases)
    assert not complete(phases[:2])
    assert {Fault.DEAD.value, Fault.SLOW.value, Fault.WRONG.value} == {phase.name for phase in phases}


def test_a_day_that_ends_early_because_the_route_did_not_hold_takes_back_what_an_earlier_one_said():
    held = [judged(Phase(name, [FALLBACK], 1, 1.0), "v2", BOUNDS) for name in ("dead", "slow", "wrong")]
    never = judged(Phase("slow", [FALLBACK], 1, None), "v2", BOUNDS)
    assert measured(held) == 1.0
    assert measured([held[0], never]) == 0.0
    assert measured([never, *held[1:]]) == 0.0


def test_a_day_without_all_three_faults_or_that_did_not_begin_says_nothing():
    held = judged(Phase("dead", [FALLBACK], 1, 1.0), "v2", BOUNDS)
    assert measured([held]) is None
    assert measured([judged(Phase("well", []), "v2", BOUNDS)]) is None
    assert measured([held, judged(Phase("wedge", [FALLBACK], 1, None), "v2", BOUNDS)]) is None
