"""What a game day shows says who answered, what did not hold, and what to do about it."""

import json

import pytest
from headrace_client.cli.output import Output
from headrace_drill.cli.game_day import show
from headrace_drill.game_days.verdicts import WELL, Bounds, Phase, PhaseResult, Reply, judged

BOUNDS = Bounds(0.01, 30)
OWN = Reply(5.0, 0, version="v2", matches=True)
FALLBACK = Reply(7.0, 0, version="v1", step="old", degraded=True)
OTHER = Reply(5.0, 0, version="v1")
REFUSED = Reply(5.0, 0, error="MODEL_REJECTED_INPUT")


def well(*replies: Reply) -> PhaseResult:
    return judged(Phase(WELL, replies), "v2", BOUNDS)


def dead(*replies: Reply) -> PhaseResult:
    return judged(Phase("dead", replies, 1, 1.5), "v2", BOUNDS)


def shown_of(*phases: PhaseResult, capsys: pytest.CaptureFixture[str], as_json: bool = False) -> str:
    show(Output(as_json=as_json), "digits", "v2", phases, recorded=False, refusal=None)
    told = capsys.readouterr()
    return " ".join((told.out + told.err).split())


def test_each_phase_is_a_line_and_each_problem_a_sentence(capsys: pytest.CaptureFixture[str]):
    shown = shown_of(well(OWN), dead(FALLBACK, REFUSED), capsys=capsys)
    assert "dead 2 0 old 1 MODEL_REJECTED_INPUT 1 7 7 1.5 s failed" in shown
    assert "dead: 1 of 2 requests got no answer (MODEL_REJECTED_INPUT 1)" in shown
    assert "the route of digits did not hold" in shown


def test_a_command_names_the_model(capsys: pytest.CaptureFixture[str]):
    assert "`headrace routes fallback show digits`" in shown_of(well(OWN), dead(OWN), capsys=capsys)


@pytest.mark.parametrize(
    ("reply", "advice"), [(OTHER, 'rules set digits "game_day=v2 -> v2"'), (FALLBACK, "when it has recovered")]
)
def test_where_the_version_does_not_answer_by_itself_it_is_said_what_to_do(
    reply: Reply, advice: str, capsys: pytest.CaptureFixture[str]
):
    shown = shown_of(well(reply), capsys=capsys)
    assert "no fault was set" in shown
    assert advice in shown


def test_a_document_has_all_of_it(capsys: pytest.CaptureFixture[str]):
    found = json.loads(shown_of(well(OWN), dead(FALLBACK), capsys=capsys, as_json=True))
    assert (found["passed"], found["recorded"], [phase["name"] for phase in found["phases"]]) == (
        True,
        False,
        ["well", "dead"],
    )
    assert found["phases"][1]["steps"] == {"old": 1}
