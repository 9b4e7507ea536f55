"""How much of a model's traffic versions may get that nobody promoted: what its policies say, and who is promoted."""

from __future__ import annotations

from headrace_servicekit.errors import FieldViolation

from headrace_registry.decisions import approvals
from headrace_registry.decisions.models import DEFAULT_UNPROMOTED_SHARE, Model, Stage


def max_unpromoted_share(model: Model) -> float:
    """Return the bound in force: the smaller one of those of gates and approvals, 1 where nobody set either.

    The default gates are nobody's policy: what is split before anybody said what a version must show is held by none.
    """
    bounds = [1.0]
    if model.gates is not None:
        unset = DEFAULT_UNPROMOTED_SHARE if model.gates else 1.0
        bounds.append(unset if model.max_unpromoted_share is None else model.max_unpromoted_share)
    policy = approvals.asked(model, Stage.PRODUCTION)
    if policy is not None:
        bounds.append(policy.max_unpromoted_share)
    return min(bounds)


def rollback_versions(model: Model) -> tuple[str, ...]:
    """Return the versions that rollbacks lead to, the nearest first, each once: they have been in production."""
    return tuple(one for one in dict.fromkeys(reversed(model.rollback_targets)) if one != model.production)


def share_violations(share: float | None, field: str) -> list[FieldViolation]:
    """Return what is wrong with a bound; None is one that nobody stated."""
    if share is None or 0 <= share <= 1:
        return []
    return [FieldViolation(field, f"{share:.15g} is not between 0 and 1")]
