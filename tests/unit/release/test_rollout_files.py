"""Policies of rollouts as files: what they say, and where what is wrong stands."""

from datetime import timedelta
from pathlib import Path

import pytest
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_client.errors import FieldViolation, InvalidArgument, PreconditionFailed
from headrace_release.rollout_files import read_policy

GOOD = """\
# Slowly, and judged strictly.
strategy: canary
steps:
  - percent: 5
    dwell: 10m
    limit: 2h
  - {percent: 100, dwell: 1h}
tolerated_ratio: 1.2
sticky: true
slow_after: 80ms
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "rollout.yaml"
    path.write_text(text)
    return path


def test_a_file_says_what_the_message_says(tmp_path: Path):
    policy = read_policy(written(tmp_path, GOOD)).policy
    assert (policy.strategy, policy.sticky) == (pb.RolloutPolicy.STRATEGY_CANARY, True)
    assert [step.percent for step in policy.steps] == [5, 100]
    assert policy.steps[0].limit.ToTimedelta() == timedelta(hours=2)
    assert policy.slow_after.ToTimedelta() == timedelta(milliseconds=80)


def test_a_file_says_what_a_shadow_is_like(tmp_path: Path):
    text = "strategy: shadow\nshadow: {percent: 10, dwell: 1h, min_pairs: 5000, max_flips_percent: 0, then: nothing}\n"
    policy = read_policy(written(tmp_path, text)).policy
    shadow = policy.shadow
    assert (policy.strategy, shadow.then) == (pb.RolloutPolicy.STRATEGY_SHADOW, pb.RolloutPolicy.Shadow.THEN_NOTHING)
    assert (shadow.percent, shadow.min_pairs, shadow.max_flips_percent) == (10, 5000, 0)
    assert (shadow.HasField("max_flips_percent"), shadow.HasField("max_slice_flips_percent")) == (True, False)
    assert read_policy(written(tmp_path, "shadow: {}\n")).policy.HasField("shadow")


def test_an_empty_file_is_every_default(tmp_path: Path):
    assert read_policy(written(tmp_path, "")).policy == pb.RolloutPolicy()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("strategy: canary\nstep: 5\n", "rollout.yaml:2: step: is not known here", id="unknown name"),
        pytest.param("steps:\n  - percent: five\n", "rollout.yaml:2: steps[0].percent: 'five' is no number", id="text"),
        pytest.param("\nstrategy: purple\n", "rollout.yaml:2: strategy: 'purple' must be one of canary", id="strategy"),
        pytest.param("steps: [{percent: 5, dwell: soon}]", "rollout.yaml:1: steps[0].dwell: 'soon'", id="duration"),
        pytest.param("sticky: true\nsticky: false\n", "rollout.yaml:2: sticky: is there twice", id="twice"),
        pytest.param("sticky: maybe\n", "rollout.yaml:1: sticky: 'maybe' must be true or false", id="no truth"),
        pytest.param("steps: 5\n", "rollout.yaml:1: steps: must be a list", id="no list"),
        pytest.param("shadow: 5\n", "rollout.yaml:1: shadow: must be names with values", id="no shadow"),
        pytest.param(
            "shadow:\n  then: rest\n", "rollout.yaml:2: shadow.then: 'rest' must be one of canary, no", id="then"
        ),
        pytest.param("shadow:\n  min_pairs: 1.5\n", "rollout.yaml:2: shadow.min_pairs: '1.5' is no whole", id="half"),
        pytest.param("shadow: {min_pairs: 9999999999}\n", "rollout.yaml:1: shadow.min_pairs: '99999", id="too many"),
        pytest.param("shadow: {pairs: 5}\n", "rollout.yaml:1: shadow.pairs: is not known here", id="unknown part"),
        pytest.param("- canary\n", "rollout.yaml:1: policy: must be names with values", id="a list"),
        pytest.param("strategy: [\n", "rollout.yaml:2:", id="no YAML"),
        pytest.param("strategy: !!python/object:os.system x\n", "rollout.yaml:1: strategy:", id="a tag"),
    ],
)
def test_what_no_field_can_say_is_named_with_its_line(tmp_path: Path, text: str, told: str):
    with pytest.raises(InvalidArgument) as refused:
        read_policy(written(tmp_path, text))
    assert refused.value.message.startswith(told), refused.value.message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"[" * 5000, "rollout.yaml is not a policy of rollouts: it is nested too deeply", id="nested"),
        pytest.param(b"\xff", "it is not UTF-8 at byte 0", id="no text"),
        pytest.param(None, "rollout.yaml: No such file", id="no file"),
    ],
)
def test_a_file_that_is_no_policy_at_all_is_refused(tmp_path: Path, content: bytes | None, told: str):
    path = tmp_path / "rollout.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidArgument, match=told):
        read_policy(path)


def test_what_the_server_refuses_is_told_with_the_line_of_the_field(tmp_path: Path):
    found = read_policy(written(tmp_path, GOOD))
    refused = InvalidArgument(
        "x",
        violations=[
            FieldViolation("policy.steps[1].percent", "must be above 5"),
            FieldViolation("policy.steps[1].limit", "is too short"),
        ],
    )
    told = found.located(refused)
    assert [one.field for one in told.violations] == ["rollout.yaml:7", "rollout.yaml:7"]
    assert told.message == "rollout.yaml:7: policy.steps[1].percent: must be above 5"
    other = PreconditionFailed("y", reason="ROLLOUT_RUNNING")
    assert found.located(other) is other
