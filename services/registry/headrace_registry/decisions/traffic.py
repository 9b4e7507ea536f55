"""Share of a model's traffic that versions may get without a promotion, and which versions are promoted."""

from __future__ import annotations

from headrace_servicekit.errors import FieldViolation

from headrace_registry.decisions import approvals
from headrace_registry.decisions.models import DEFAULT_UNPROMOTED_SHARE, Model, Stage


def max_unpromoted_share(model: Model) -> float:
    """Return the bound in force: the smaller of those of gates and approvals, 1 where neither is set.

    The default gates set no bound: traffic may be split before anyone has chosen gates.
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
    """Return the violations of a bound; None is an unset one, which is valid."""
    if share is None or 0 <= share <= 1:
        return []
    return [FieldViolation(field, f"{share:.15g} is not between 0 and 1")]
