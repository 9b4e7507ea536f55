"""Serving settings that change while a version serves: in force without a gap, loaded again only where it must be."""

import time
from dataclasses import replace

import pytest
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.turns import LoadBounds
from headrace_batcher.decisions.version_state import Opened, Phase, Wanted
from headrace_batcher.loading import settings_change as settling
from headrace_runtime.backends.backend import ModelCrashed
from headrace_servicekit.testing import eventually

from tests.kit.batcher.scripted_backend import WorkMaker
from tests.unit.batcher.test_versions import Backend, Scene, running, scene, wanted

__all__ = ["scene"]


def changed(one: Wanted, revision: int = 2, device: str = "", **limits) -> Wanted:
    """Return a version with other settings under the next number."""
    return replace(one, serving_revision=revision, limits=replace(one.limits, **limits), device=device)


def in_force(scene: Scene, one: Wanted) -> int:
    return {status.digest: status.serving_revision for status in scene.versions.statuses()}[one.digest]


@pytest.mark.parametrize(
    ("now", "suits"),
    [
        pytest.param({"max_rows": 1, "preferred_rows": (1,)}, True, id="smaller batches"),
        pytest.param({"max_wait_s": 0.02}, True, id="another wait"),
        pytest.param({"max_rows": 8}, False, id="larger batches"),
        pytest.param({"instances": 2}, False, id="more instances"),
        pytest.param({"device": "GPU"}, False, id="another device"),
    ],
)
def test_a_backend_has_to_know_only_of_larger_batches_instances_and_device(now, suits):
    one = wanted("m")
    assert Opened.of(one).suits(changed(one, **now)) is suits


async def test_what_batches_are_formed_by_changes_without_loading_again(scene: Scene):
    one = wanted("m")
    await scene.bring_up(one)
    await eventually(lambda: in_force(scene, one) == 1)
    (state,) = scene.roster.states()
    before = scene.roster.find(state.handle)
    scene.versions.want([changed(one, max_rows=1, preferred_rows=(1,))])
    await eventually(lambda: in_force(scene, one) == 2)
    after = scene.roster.find(state.handle)
    assert before is not None
    assert after is not None
    assert (after.limits.max_rows, after.accepting) == (1, True)
    assert after.counters is before.counters  # what was counted stays counted
    assert scene.backend.calls == ["load m--v1"]
    assert list(scene.roster.states()) == [state]  # no data plane hears of it


async def test_what_waits_when_settings_change_is_answered(scene: Scene):
    one, make = wanted("m"), WorkMaker()
    await scene.bring_up(one)
    (state,) = scene.roster.states()
    before = scene.roster.find(state.handle)
    assert before is not None
    scene.backend.gate.clear()
    works = [make([float(at)], batcher=before) for at in range(6)]
    for work in works:
        before.submit(work)
    scene.versions.want([changed(one, max_rows=1, preferred_rows=(1,))])
    await eventually(lambda: scene.roster.find(state.handle) is not before)
    after = scene.roster.find(state.handle)
    assert after is not None
    late = make([9.0], batcher=after)
    after.submit(late)
    scene.backend.gate.set()
    await eventually(lambda: make.sink.reason(late) != "none yet")
    await eventually(lambda: all(make.sink.reason(work) != "none yet" for work in works))
    assert {make.sink.reason(work) for work in [*works, late]} == {"OK"}


async def test_who_executes_by_the_settings_before_when_a_version_goes_is_told_and_not_condemned(scene: Scene):
    one, make = wanted("m"), WorkMaker()
    await scene.bring_up(one)
    (held,) = scene.versions.loaded()
    held.crashes, held.crashed_at = 5, time.monotonic()  # it is not loaded again at once
    before = held.batcher
    scene.backend.gate.clear()
    before.submit(work := make([1.0], batcher=before, arrived=time.monotonic()))
    await eventually(lambda: scene.backend.executed[-1] == [1.0])
    scene.versions.want([changed(one, max_rows=1, preferred_rows=(1,))])
    await eventually(lambda: held.batcher is not before)
    scene.backend.dead.add(one.name)
    scene.backend.fail_once(ModelCrashed("its process died"))
    scene.backend.gate.set()
    await eventually(lambda: make.sink.reason(work) != "none yet")
    assert (make.sink.reason(work), scene.phase(one)) == ("BACKEND_CRASHED", Phase.WAITING)


async def test_more_instances_are_loaded_beside_what_answers_meanwhile(scene: Scene):
    one, make = wanted("m"), WorkMaker()
    await scene.bring_up(one)
    (state,) = scene.roster.states()
    scene.backend.loading.clear()
    scene.versions.want([changed(one, instances=3, max_rows=4)])
    await eventually(lambda: scene.backend.calls == ["load m--v1"] * 2)
    batcher = scene.roster.find(state.handle)
    assert batcher is not None
    work = make([1.0], batcher=batcher)
    batcher.submit(work)
    await eventually(lambda: make.sink.reason(work) == "OK")
    assert (scene.phase(one), in_force(scene, one)) == (Phase.READY, 1)
    scene.backend.loading.set()
    await eventually(lambda: in_force(scene, one) == 2)
    after = scene.roster.find(state.handle)
    assert after is not None
    assert (after.limits.instances, after.limits.max_rows) == (3, 4)
    assert "unload m--v1" not in scene.backend.calls


async def test_batches_are_never_larger_than_the_backend_was_told_while_it_is_loaded_again(scene: Scene):
    one, make = wanted("m"), WorkMaker()
    told: list[int] = []
    load = scene.backend.load

    async def noted(files):
        told.append(files.max_rows)
        await load(files)

    scene.backend.load = noted
    await scene.bring_up(one)
    (state,) = scene.roster.states()
    scene.backend.loading.clear()
    # Smaller batches in more instances: until that is loaded, batches are as large as before.
    scene.versions.want([changed(one, max_rows=1, preferred_rows=(1,), instances=2)])
    await eventually(lambda: len(told) == 2)
    batcher = scene.roster.find(state.handle)
    assert batcher is not None
    assert told[-1] >= batcher.limits.max_rows == 2
    scene.backend.loading.set()
    await eventually(lambda: in_force(scene, one) == 2)
    after = scene.roster.find(state.handle)
    assert after is not None
    assert after.limits.max_rows == 1
    works = [make([float(at)], batcher=after) for at in range(3)]
    for work in works:
        after.submit(work)
    await eventually(lambda: {make.sink.reason(work) for work in works} == {"OK"})


async def test_settings_that_the_backend_does_not_take_leave_those_before_and_say_why(scene: Scene):
    one = wanted("m")
    await scene.bring_up(one)
    scene.backend.refuses.add(one.name)
    scene.versions.want([changed(one, instances=64)])
    await eventually(lambda: "serving settings not taken: no such luck" in scene.reason(one))
    assert (scene.phase(one), in_force(scene, one)) == (Phase.READY, 1)
    assert scene.ready() == {one.digest}
    # The next ones are tried.
    scene.backend.refuses.clear()
    scene.versions.want([changed(one, 3, instances=2)])
    await eventually(lambda: in_force(scene, one) == 3)
    assert scene.reason(one) == ""


async def test_a_version_that_does_not_load_again_in_time_keeps_nobody_else_from_loading(tmp_path):
    one, other = wanted("m"), wanted("other")
    scene = Scene(tmp_path, Backend(), bounds=LoadBounds(attempt_s=0.3))
    async with running(scene.versions):
        await scene.bring_up(one)
        scene.backend.hangs.add(one.name)
        scene.versions.want([changed(one, instances=2), other])
        await scene.until_ready(other)
        await eventually(lambda: "serving settings not taken: it was not loaded within 0.3 s" in scene.reason(one))
        assert (scene.phase(one), scene.backend.ended) == (Phase.READY, [one.name])


async def test_a_defect_while_a_version_is_loaded_again_leaves_it_as_it_is(scene: Scene, monkeypatch):
    one, other = wanted("m"), wanted("other")
    await scene.bring_up(one)

    async def full(_files) -> None:
        raise OSError("no space left on the device")

    with monkeypatch.context() as patched:
        patched.setattr(scene.backend, "load", full)
        scene.versions.want([changed(one, instances=2)])
        await eventually(lambda: "serving settings not taken: internal error" in scene.reason(one))
    assert (scene.phase(one), in_force(scene, one)) == (Phase.READY, 1)
    await scene.bring_up(changed(one, 3), other)


async def test_settings_that_change_before_a_version_is_loaded_are_those_that_it_is_loaded_with(scene: Scene):
    one = wanted("m")
    scene.versions.want([one])
    scene.versions.want([changed(one, instances=2)])
    scene.versions.backend_up()
    await scene.until_ready(one)
    await eventually(lambda: in_force(scene, one) == 2)
    assert scene.backend.calls == ["load m--v1"]


def test_what_waited_has_time_to_be_answered():
    assert Limits().max_wait_s * 100 <= settling.RETIRE_S
