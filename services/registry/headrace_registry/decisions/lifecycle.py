"""The life of a version: which moves between stages are legal, and what a promotion or rollback changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headrace_servicekit.errors import FieldViolation, PreconditionFailed

from headrace_registry.decisions.models import Action, Model, Stage, Version

# The table of docs/decisions/0031. Nothing leaves production by request: it is archived when another version replaces
# it, or there would be a moment without a production version. Nothing returns to registered: it would hide that the
# version had a life already.
LEGAL_MOVES: Mapping[Stage, frozenset[Stage]] = {
    Stage.REGISTERED: frozenset({Stage.STAGING, Stage.PRODUCTION, Stage.ARCHIVED}),
    Stage.STAGING: frozenset({Stage.PRODUCTION, Stage.ARCHIVED}),
    Stage.PRODUCTION: frozenset(),
    Stage.ARCHIVED: frozenset({Stage.STAGING, Stage.PRODUCTION}),
}

MAX_ROLLBACK_TARGETS = 64


@dataclass(frozen=True, slots=True)
class Move:
    """One version changes its stage."""

    version: str
    from_stage: Stage
    to_stage: Stage
    action: Action = Action.STAGE_CHANGED


@dataclass(frozen=True, slots=True)
class Change:
    """The moves of one change, in the order in which they must be written, and the model after it."""

    moves: tuple[Move, ...]
    model: Model


def promote(model: Model, version: str, stage: Stage, target: Stage) -> Change:
    """Return what moving `version`, now in `stage`, to `target` changes; no moves when it is there already.

    Raises PreconditionFailed, reason STAGE_MOVE_ILLEGAL.
    """
    if stage is target:
        return Change((), model)
    if target not in LEGAL_MOVES[stage]:
        raise _illegal(version, stage, target)
    move = Move(version, stage, target)
    if target is not Stage.PRODUCTION:
        return Change((move,), model)
    if not model.production:
        return Change((move,), replace(model, production=version))
    targets = (*model.rollback_targets, model.production)[-MAX_ROLLBACK_TARGETS:]
    return Change((_replaced(model), move), replace(model, production=version, rollback_targets=targets))


def check_kept(version: Version) -> None:
    """Raise PreconditionFailed, reason VERSION_COLLECTED, for a version whose files were given up."""
    if version.collect_time is not None:
        raise PreconditionFailed(
            f"the files of version '{version.ref.version}' were removed "
            f"{version.collect_time:%Y-%m-%d %H:%M} UTC: register it again under another id",
            reason="VERSION_COLLECTED",
        )


def rollback_target(model: Model) -> str:
    """Return the version that a rollback puts into production.

    Raises PreconditionFailed, reason NOTHING_TO_ROLL_BACK_TO.
    """
    if not model.rollback_targets:
        raise PreconditionFailed(
            f"model '{model.name}' has no earlier production version to roll back to", reason="NOTHING_TO_ROLL_BACK_TO"
        )
    return model.rollback_targets[-1]


def roll_back(model: Model, target_stage: Stage) -> Change:
    """Return what a rollback changes; target_stage is the present stage of `rollback_target(model)`.

    Neighbours on the list always differ, and so does its end from production, so the target is never in production.
    """
    target = rollback_target(model)
    restored = Move(target, target_stage, Stage.PRODUCTION, Action.ROLLED_BACK)
    after = replace(model, production=target, rollback_targets=model.rollback_targets[:-1])
    return Change((_replaced(model), restored), after)


def _replaced(model: Model) -> Move:
    return Move(model.production, Stage.PRODUCTION, Stage.ARCHIVED)


def _illegal(version: str, stage: Stage, target: Stage) -> PreconditionFailed:
    if stage is Stage.PRODUCTION:
        remedy = "promote another version to production, or roll back: that archives this one"
    else:
        remedy = "legal from there: " + ", ".join(sorted(LEGAL_MOVES[stage]))
    description = f"version '{version}' cannot move from {stage} to {target}; {remedy}"
    return PreconditionFailed(
        description, reason="STAGE_MOVE_ILLEGAL", violations=[FieldViolation("target_stage", description)]
    )
