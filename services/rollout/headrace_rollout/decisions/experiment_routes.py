"""How an experiment gets its traffic and gives it back: pure functions on Route messages."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from headrace.monitor.v1 import experiment_pb2
from headrace.router.v1 import route_pb2
from headrace_servicekit.errors import PreconditionFailed

Route = route_pb2.Route

# Shares are floating-point numbers: one is as large as another one that differs by less.
_EQUAL = 1e-9


def shared(route: Route, weights: Mapping[str, float]) -> Route:
    """Return the route in which the variants share the traffic that they have together as these weights say.

    Raises PreconditionFailed, reason VARIANT_GONE.
    """
    wanted = Route()
    wanted.CopyFrom(route)
    variants = {one.name: one for one in wanted.variants}
    gone = [name for name in weights if name not in variants]
    if gone:
        message = f"the route has no variant '{gone[0]}', only {', '.join(variants)}: `headrace routes split` adds it"
        raise PreconditionFailed(message, reason="VARIANT_GONE")
    together = sum(variants[name].weight for name in weights)
    if together <= 0:
        message = f"{', '.join(weights)} have no traffic: `headrace routes split` gives them some"
        raise PreconditionFailed(message, reason="VARIANT_GONE")
    for name, weight in weights.items():
        share = together * weight / sum(weights.values())
        # The same shares in other numbers are no change.
        if not math.isclose(variants[name].weight, share, rel_tol=1e-9):
            variants[name].weight = share
    return wanted


def manager_of(experiment: str) -> str:
    """Return who manages the route while an experiment runs."""
    return f"experiments/{experiment.rpartition('/')[2]}"


def weights_of(experiment: experiment_pb2.Experiment) -> dict[str, float]:
    """Return the weights that units are assigned by: of the latest phase, or of the draft."""
    present = experiment.phases[-1].variants if experiment.phases else experiment.variants
    return {one.name: one.weight for one in present}


def grows(before: Route, wanted: Route, names: Collection[str]) -> bool:
    """Return whether one of the variants gets a larger share of the units than before."""
    shares = [{one.name: one.weight / (_total(route) or 1.0) for one in route.variants} for route in (before, wanted)]
    return any(shares[1].get(name, 0.0) > shares[0].get(name, 0.0) + _EQUAL for name in names)


def given_back(route: Route, control: str, others: Collection[str], keep: str = "") -> tuple[Route, list[str]]:
    """Return the route in which the control has the traffic of the other variants, and which of them had some.

    A variant that no rule sends requests to is taken out of the route, but for `keep`.

    Raises PreconditionFailed, reason VARIANT_GONE.
    """
    wanted = Route()
    wanted.CopyFrom(route)
    variants = {one.name: one for one in wanted.variants}
    for name in (control, keep):
        if name and name not in variants:
            there = ", ".join(variants)
            raise PreconditionFailed(f"the route has no variant '{name}', only {there}", reason="VARIANT_GONE")
    stopped = [name for name in others if name in variants and variants[name].weight > 0]
    for name in stopped:
        variants[control].weight += variants[name].weight
        variants[name].weight = 0
    named = {rule.variant for rule in wanted.rules} | {keep}
    left = [one for one in wanted.variants if one.name not in others or one.name in named]
    del wanted.variants[:]
    wanted.variants.extend(left)
    return wanted, stopped


def following(route: Route, variant: str, production: str) -> Route:
    """Return the route in which a variant that names the version in production by id follows production instead.

    What is promoted then reaches its callers, by this rollout and by every promotion after it. production: empty for
    none; a variant that names another version stays as it is.
    """
    wanted = Route()
    wanted.CopyFrom(route)
    for one in wanted.variants:
        if one.name == variant and one.version == production != "":
            one.follow_production = True
    return wanted


def _total(route: Route) -> float:
    return sum(one.weight for one in route.variants)
