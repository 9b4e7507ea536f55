"""The table of legal moves, and what promotions and rollbacks change."""

import itertools

import pytest
from headrace_registry.decisions import lifecycle
from headrace_registry.decisions.lifecycle import Move
from headrace_registry.decisions.models import Action, Model, Stage
from headrace_servicekit.errors import PreconditionFailed

from tests.kit.rows import each

LEGAL = {
    (Stage.REGISTERED, Stage.STAGING),
    (Stage.REGISTERED, Stage.PRODUCTION),
    (Stage.REGISTERED, Stage.ARCHIVED),
    (Stage.STAGING, Stage.PRODUCTION),
    (Stage.STAGING, Stage.ARCHIVED),
    (Stage.ARCHIVED, Stage.STAGING),
    (Stage.ARCHIVED, Stage.PRODUCTION),
}


@each("stage,target", list(itertools.permutations(Stage, 2)))
def test_only_the_documented_moves_are_legal(stage, target):
    model = Model("digits", production="v1" if stage is Stage.PRODUCTION else "")
    if (stage, target) in LEGAL:
        assert lifecycle.promote(model, "v1", stage, target).moves == (Move("v1", stage, target),)
    else:
        with pytest.raises(PreconditionFailed) as caught:
            lifecycle.promote(model, "v1", stage, target)
        assert caught.value.reason == "STAGE_MOVE_ILLEGAL"
        assert caught.value.violations[0].field == "target_stage"


@pytest.mark.parametrize("stage", Stage)
def test_a_move_to_the_stage_that_a_version_has_changes_nothing(stage):
    model = Model("digits", production="v1")
    assert lifecycle.promote(model, "v1", stage, stage) == lifecycle.Change((), model)


def test_a_promotion_archives_the_version_before_it_first():
    change = lifecycle.promote(Model("digits", production="v1"), "v2", Stage.STAGING, Stage.PRODUCTION)
    assert change.moves == (
        Move("v1", Stage.PRODUCTION, Stage.ARCHIVED),
        Move("v2", Stage.STAGING, Stage.PRODUCTION),
    )
    assert (change.model.production, change.model.rollback_targets) == ("v2", ("v1",))


def test_moves_that_are_not_to_production_leave_production_alone():
    model = Model("digits", production="v1", rollback_targets=("v0",))
    assert lifecycle.promote(model, "v2", Stage.REGISTERED, Stage.STAGING).model == model


def test_each_rollback_goes_one_promotion_further_back():
    model = Model("digits", production="v3", rollback_targets=("v1", "v2"))
    first = lifecycle.roll_back(model, Stage.ARCHIVED)
    assert first.moves == (
        Move("v3", Stage.PRODUCTION, Stage.ARCHIVED),
        Move("v2", Stage.ARCHIVED, Stage.PRODUCTION, Action.ROLLED_BACK),
    )
    second = lifecycle.roll_back(first.model, Stage.ARCHIVED)
    assert (second.model.production, second.model.rollback_targets) == ("v1", ())
    with pytest.raises(PreconditionFailed, match="earlier"):
        lifecycle.roll_back(second.model, Stage.ARCHIVED)


def test_a_version_that_came_back_by_name_can_be_rolled_back_too():
    model = Model("digits", production="v2", rollback_targets=("v1",))
    again = lifecycle.promote(model, "v1", Stage.ARCHIVED, Stage.PRODUCTION).model
    assert lifecycle.roll_back(again, Stage.ARCHIVED).model.production == "v2"


def test_the_list_of_rollback_targets_is_bounded():
    model = Model("digits")
    for number in range(100):
        model = lifecycle.promote(model, f"v{number}", Stage.REGISTERED, Stage.PRODUCTION).model
    assert len(model.rollback_targets) == lifecycle.MAX_ROLLBACK_TARGETS
    assert model.rollback_targets[-1] == "v98"
