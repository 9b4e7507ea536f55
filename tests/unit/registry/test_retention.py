"""What has had its time, and what is never taken: whatever something names, whatever was touched a moment ago."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace_registry.decisions import defaults, retention
from headrace_registry.decisions.files import ContentUse
from headrace_registry.decisions.models import Lineage, Model, ModelState, Stage, Version, VersionRef
from headrace_registry.decisions.retention import Policy, Retirement
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = Policy(grace=DAY, archive_after=30 * DAY, collect_after=90 * DAY)
USE = ContentUse("a" * 64, 9, touch_time=NOW - 2 * DAY)


def version(name: str, stage: Stage, parent: str = "", epoch: int = 1) -> Version:
    ref, lineage = VersionRef("digits", name), Lineage(parent_version=parent)
    return Version(ref, defaults.filled(), stage=stage, lineage=lineage, epoch=epoch)


def due(*versions: Version, held=(), since: datetime = NOW - 365 * DAY, policy: Policy = POLICY, **model) -> Retirement:
    state = ModelState(Model("digits", **model), versions, 1)
    times = {one.ref.version: since for one in versions}
    return retention.retirement(state, times, {VersionRef("digits", name) for name in held}, policy, NOW)


@pytest.mark.parametrize("stage", [Stage.REGISTERED, Stage.STAGING])
def test_a_version_that_nobody_moves_is_archived_when_its_time_has_come(stage):
    assert due(version("v1", stage), since=NOW - 30 * DAY) == Retirement(archive=("v1",))
    assert not due(version("v1", stage), since=NOW - 30 * DAY + timedelta(seconds=1))
    assert not due(version("v1", stage), policy=Policy(DAY))


def test_an_archived_version_is_given_up_when_its_time_has_come():
    assert due(version("v1", Stage.ARCHIVED), since=NOW - 90 * DAY) == Retirement(collect=("v1",))
    assert not due(version("v1", Stage.ARCHIVED), since=NOW - 89 * DAY)
    assert not due(version("v1", Stage.ARCHIVED), policy=Policy(DAY))


@pytest.mark.parametrize("stage", [Stage.REGISTERED, Stage.ARCHIVED])
def test_what_something_names_stays(stage):
    one = version("v1", stage)
    assert due(one)
    assert not due(one, aliases={"champion": "v1"})
    assert not due(one, held=["v1"])


def test_rollback_targets_and_parents_keep_their_files():
    assert not due(version("v1", Stage.ARCHIVED), rollback_targets=("v1",))
    child = version("v2", Stage.PRODUCTION, parent="v1")
    assert not due(version("v1", Stage.ARCHIVED), child)
    assert due(version("v1", Stage.ARCHIVED), version("v2", Stage.ARCHIVED, parent="v1")).collect == ("v2",)


def test_a_version_whose_age_is_not_known_stays():
    state = ModelState(Model("digits"), (version("v1", Stage.ARCHIVED),), 1)
    assert not retention.retirement(state, {}, (), POLICY, NOW)


STAGES = st.sampled_from(Stage)
VERSIONS = st.lists(st.tuples(STAGES, st.sampled_from(["", "v0", "v1", "v2"]), st.integers(0, 400)), max_size=6)


@given(VERSIONS, st.sets(st.sampled_from(["v0", "v1", "v2", "v3"])), st.sets(st.sampled_from(["v0", "v1", "v2"])))
def test_nothing_that_is_referenced_is_ever_taken(drawn, named, targets):
    versions = [version(f"v{i}", stage, parent, i) for i, (stage, parent, _) in enumerate(drawn)]
    since = {f"v{i}": NOW - days * DAY for i, (_, _, days) in enumerate(drawn)}
    model = Model("digits", aliases=dict.fromkeys(named, "v0"), rollback_targets=tuple(sorted(targets)))
    aliases = {f"alias-{name}": name for name in named}
    state = ModelState(replace(model, aliases=aliases), tuple(versions), 1)
    found = retention.retirement(state, since, (), POLICY, NOW)
    stages = {one.ref.version: one.stage for one in versions}
    kept = [one for one in versions if one.ref.version not in found.collect]
    assert not named & {*found.archive, *found.collect}
    assert not targets & set(found.collect)
    assert not {one.lineage.parent_version for one in kept} & set(found.collect)
    assert all(stages[name] in (Stage.REGISTERED, Stage.STAGING) for name in found.archive)
    assert all(stages[name] is Stage.ARCHIVED for name in found.collect)
    assert all(since[name] <= NOW - 30 * DAY for name in found.archive)
    assert all(since[name] <= NOW - 90 * DAY for name in found.collect)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(replace(USE, needed=True), id="a version names it"),
        pytest.param(replace(USE, uploading=True), id="it is being uploaded"),
        pytest.param(replace(USE, touch_time=NOW - DAY + timedelta(seconds=1)), id="uploaded a moment ago"),
        pytest.param(replace(USE, given_up_time=NOW - timedelta(hours=1)), id="given up a moment ago"),
        pytest.param(replace(USE, collected=True), id="gone already"),
        pytest.param(ContentUse("a" * 64), id="nothing is recorded"),
    ],
)
def test_bytes_that_stay(use):
    assert not retention.is_expendable(use, POLICY, NOW)


def test_bytes_that_nothing_has_needed_during_the_grace_go():
    assert retention.is_expendable(USE, POLICY, NOW)
    assert retention.is_expendable(replace(USE, given_up_time=NOW - DAY), POLICY, NOW)


def test_strays_go_after_the_grace_unless_they_are_older_than_the_incarnation():
    stray, begin = ContentUse("a" * 64), NOW - 10 * DAY
    assert retention.is_stray(stray, NOW - 2 * DAY, begin, POLICY, NOW)
    assert not retention.is_stray(stray, NOW - timedelta(hours=1), begin, POLICY, NOW)
    assert not retention.is_stray(stray, NOW - 11 * DAY, begin, POLICY, NOW)
    for use in (replace(stray, touch_time=NOW), replace(stray, uploading=True), replace(stray, needed=True)):
        assert not retention.is_stray(use, NOW - 2 * DAY, begin, POLICY, NOW)


def test_bytes_that_were_uploaded_again_meanwhile_are_not_forgotten():
    assert retention.is_forgotten(ContentUse("a" * 64))
    assert retention.is_forgotten(replace(USE, collected=True))
    assert not retention.is_forgotten(USE)
    assert not retention.is_forgotten(replace(ContentUse("a" * 64), uploading=True))
