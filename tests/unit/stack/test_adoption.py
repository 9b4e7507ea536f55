"""What `up` does about what an earlier run left."""

from dataclasses import replace

import pytest
from headrace_stack.adoption import (
    Adopt,
    AwaitStop,
    CleanUp,
    Decision,
    Refuse,
    Replace,
    Running,
    Start,
    TakenPort,
    decide,
    explain_taken,
)
from headrace_stack.ports import Port
from headrace_stack.replicas import ONE_OF_EACH, Replicas
from headrace_stack.settings import DataPlane
from headrace_stack.snapshot import Phase, ProcessId, Snapshot

SUPERVISOR = ProcessId(100, 1.0)
ORPHAN = ProcessId(101, 2.0)


HERE = DataPlane.FRONT_DOOR


def snapshot(phase: Phase) -> Snapshot:
    return Snapshot(supervisor=SUPERVISOR, base_port=8080, phase=phase, components=())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(Running(None, False), Start(), id="a fresh checkout starts"),
        pytest.param(Running(snapshot(Phase.READY), True), Adopt(), id="a running stack is adopted"),
        pytest.param(Running(snapshot(Phase.STARTING), True), Adopt(), id="a starting stack is followed"),
        pytest.param(Running(snapshot(Phase.STOPPING), True), AwaitStop(), id="a stopping stack is waited for"),
        pytest.param(Running(snapshot(Phase.FAILED), True), AwaitStop(), id="a failed one still cleans up"),
        pytest.param(Running(snapshot(Phase.READY), False), Start(), id="a dead one without children is forgotten"),
        pytest.param(
            Running(snapshot(Phase.READY), False, (ORPHAN,)), CleanUp((ORPHAN,)), id="orphans are ended before a start"
        ),
    ],
)
def test_decide(found: Running, expected: Decision):
    assert decide(found, base_port=8080, replicas=ONE_OF_EACH, data_plane=HERE) == expected


def test_a_stack_on_another_base_port_is_not_silently_adopted():
    decision = decide(Running(snapshot(Phase.READY), True), base_port=9080, replicas=ONE_OF_EACH, data_plane=HERE)
    assert isinstance(decision, Refuse)
    assert "8080" in decision.reason
    assert "make down" in decision.reason


def test_a_stack_of_other_replicas_is_not_silently_adopted():
    two = Replicas(data_planes=2)
    decision = decide(Running(snapshot(Phase.READY), True), base_port=8080, replicas=two, data_plane=HERE)
    assert isinstance(decision, Refuse)
    assert "HEADRACE_DATA_PLANES=2" in decision.reason


def test_a_stack_whose_predictions_are_answered_elsewhere_is_not_silently_adopted():
    elsewhere = DataPlane.SERVICE
    decision = decide(Running(snapshot(Phase.READY), True), base_port=8080, replicas=ONE_OF_EACH, data_plane=elsewhere)
    assert isinstance(decision, Refuse)
    assert "HEADRACE_DATA_PLANE=front-door, not service" in decision.reason


def test_other_parts_than_run_replace_them_and_whatever_runs_is_meant_where_none_is_named():
    core = replace(snapshot(Phase.READY), parts=("core",))
    of = {"base_port": 8080, "replicas": ONE_OF_EACH, "data_plane": HERE}
    assert decide(Running(core, True), **of, parts=("core", "observe")) == Replace(("core",))
    assert decide(Running(core, True), **of, parts=("core",)) == decide(Running(core, True), **of) == Adopt()


def test_a_taken_port_is_named_with_its_purpose_its_owner_and_the_setting():
    message = explain_taken((TakenPort(Port(8101, "Valkey"), "redis (pid 7)"),), base_port=8080, free_base=9080)
    assert "port 8101 (Valkey) is taken by redis (pid 7)" in message
    assert "HEADRACE_BASE_PORT=9080 make up" in message
