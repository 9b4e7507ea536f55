"""Rollouts with a shadow, as a terminal shows them."""

import io
import re

import pytest
from google.protobuf.json_format import ParseDict
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_client.cli.output import Output
from headrace_release.cli.rollout_views import panel, shadow_text, show_plan
from rich.console import Console

_Rollout = pb.Rollout
POLICY = {
    "strategy": "STRATEGY_SHADOW",
    "shadow": {
        "percent": 10,
        "dwell": "600s",
        "min_pairs": 1000,
        "max_flips_percent": 0.5,
        "max_slice_flips_percent": 2,
    },
    "steps": [{"percent": 5}, {"percent": 100}],
}


@pytest.mark.parametrize(
    ("state", "step", "marks"),
    [
        (_Rollout.STATE_PREPARING, -1, "○ shadow  ○ 5 %  ○ 100 %"),
        (_Rollout.STATE_SHADOWING, -1, "▶ shadow  ○ 5 %  ○ 100 %"),
        (_Rollout.STATE_RUNNING, 0, "● shadow  ▶ 5 %  ○ 100 %"),
        (_Rollout.STATE_SUCCEEDED, 1, "● shadow  ● 5 %  ● 100 %"),
        (_Rollout.STATE_ROLLED_BACK, -1, "○ shadow  ○ 5 %  ○ 100 %"),
    ],
)
def test_the_shadow_comes_before_the_steps(state: _Rollout.State, step: int, marks: str):
    policy = ParseDict(POLICY, pb.RolloutPolicy())
    rollout = _Rollout(name="models/digits/rollouts/7", state=state, step=step, policy=policy, reason="so it is")
    console = Console(file=io.StringIO(), width=120)
    console.print(panel(rollout))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert marks in shown
    assert "shadow  " + _Rollout.State.Name(state).removeprefix("STATE_").replace("_", " ").lower() in shown


def test_a_plan_says_what_the_shadow_needs_and_what_follows():
    assert shadow_text(ParseDict(POLICY, pb.RolloutPolicy())) == (
        "copies of 10 % of what is computed, for at least 10m and 1,000 pairs; at most 0.5 % of the labels may differ, "
        "2 % in any slice; then the steps"
    )
    alone = {**POLICY, "steps": []}
    assert shadow_text(ParseDict(alone, pb.RolloutPolicy())).endswith("; then nothing")
    assert shadow_text(pb.RolloutPolicy()) == ""


def test_a_plan_says_how_much_of_a_step_the_pool_has_room_for(capsys: pytest.CaptureFixture[str]):
    found = pb.PlanRolloutResponse(
        baseline_version="v1",
        variant="production",
        requests_per_second=1000,
        online_per_second=200,
        kept_share=0.25,
        pool_utilisation=0.5,
        room_per_second=150,
    )
    found.policy.CopyFrom(ParseDict({**POLICY, "max_utilisation_percent": 80}, pb.RolloutPolicy()))
    found.steps.add(percent=5, moved_share=0.05, extra_online_per_second=40)
    found.steps.add(percent=100, moved_share=0.95, extra_online_per_second=750, fitting_percent=20)
    show_plan(Output(as_json=False), found, "v2")
    shown = capsys.readouterr().out
    assert "150 requests/s can be computed besides: batchers are busy for 50% of the time, and may be for 80 %" in shown
    assert "the new version has answers for 25%" in shown
    first, last = [line.split("  ") for line in shown.splitlines() if "% of requests" in line]
    assert "all" in [cell.strip() for cell in first]
    assert "20 %" in [cell.strip() for cell in last]


def test_a_pool_whose_load_nobody_knows_is_not_said_to_have_room(capsys: pytest.CaptureFixture[str]):
    found = pb.PlanRolloutResponse(policy=ParseDict(POLICY, pb.RolloutPolicy()), requests_per_second=1000)
    found.steps.add(percent=5, extra_online_per_second=0)
    found.steps.add(percent=100, extra_online_per_second=750)
    show_plan(Output(as_json=False), found, "v2")
    first, last = [line for line in capsys.readouterr().out.splitlines() if "% of requests" in line]
    assert re.search(r"\ball\b", first)
    assert not re.search(r"\ball\b", last)
