"""Pure: what it means to scale, add or remove a component of a running stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from headrace_stack.replicas import MOST, MOST_POOLS, Backend, Pool, Replicas, replicas_of, with_replicas

_BATCHERS = "batcher-"
# Components of which there is one, and why.
_SINGLE = {
    "postgres": "a second PostgreSQL would be another store",
    "valkey": "a second Valkey would be another store",
    "s3": "a second S3 would be another store",
}


class ScalingError(ValueError):
    """What was asked for cannot be done; `field` of the request is why."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


Services = Mapping[str, str]
"""What scales besides batchers: of each component, the name of its service."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What is started, in this order, and what is stopped, in this order: the last one goes first."""

    start: tuple[str, ...]
    stop: tuple[str, ...]


def steps(before: Sequence[str], after: Sequence[str]) -> Steps:
    """Return what leads from the components that run to those that are wanted."""
    start = tuple(name for name in after if name not in before)
    return Steps(start, tuple(name for name in reversed(before) if name not in after))


def scalable(now: Replicas, services: Services) -> tuple[str, ...]:
    """Return the names of what can be scaled."""
    return (*services, *(f"{_BATCHERS}{pool.name}" for pool in now.pools))


def count(now: Replicas, services: Services, component: str) -> int:
    """Return how many replicas of a component are wanted. Raises ScalingError when there is no such component."""
    pool = now.pool(component.removeprefix(_BATCHERS)) if component.startswith(_BATCHERS) else None
    if pool is not None:
        return pool.replicas
    if component not in services:
        raise _unknown(now, services, component)
    return replicas_of(now, services[component])


def scaled(
    now: Replicas,
    services: Services,
    component: str,
    replicas: int,
    *,
    to_zero: bool = False,
    first: Sequence[int] = (),
) -> Replicas:
    """Return the replica counts with a new count for one component. Raises ScalingError.

    Only batchers may scale to zero, and only on request: requests to that pool then fall back, or wait and fail. Every
    other service is required.
    """
    count(now, services, component)
    if replicas > MOST or replicas < 0:
        raise ScalingError("replicas", f"replicas={replicas} must lie in 0..{MOST}")
    if not component.startswith(_BATCHERS):
        if replicas == 0:
            raise ScalingError("replicas", f"{component!r} needs at least one replica; only batchers can go to 0")
        return with_replicas(now, services[component], replicas)
    if replicas == 0 and not to_zero:
        problem = f"no batcher of {component!r} would be left, and requests to its pool would fail"
        raise ScalingError("to_zero", f"{problem}: say to_zero (--to-zero, ZERO=1) if that is meant")
    return now.with_batchers(replicas, component.removeprefix(_BATCHERS), first)


def added(now: Replicas, component: str, backend: str, replicas: int = 1) -> Replicas:
    """Return what is wanted with a new pool of batchers; the same when it is there already. Raises ScalingError."""
    if not component.startswith(_BATCHERS):
        raise ScalingError(
            "component", f"{component!r} cannot be added: only pools of batchers, as `batcher-POOL`, can"
        )
    if backend not in list(Backend):
        raise ScalingError("backend", f"backend={backend!r} must be {' or '.join(Backend)}")
    if not 1 <= replicas <= MOST:
        raise ScalingError("replicas", f"replicas={replicas} must lie in 1..{MOST}")
    try:
        pool = Pool(component.removeprefix(_BATCHERS), Backend(backend), replicas)
    except ValueError as error:
        raise ScalingError("component", str(error)) from None
    there = now.pool(pool.name)
    if there is not None:
        if there.backend is not pool.backend:
            raise ScalingError("backend", f"{component!r} is there with the backend {there.backend}: remove it first")
        return now.with_batchers(max(there.replicas, replicas), pool.name)
    if len(now.pools) >= MOST_POOLS:
        raise ScalingError("component", f"there are {MOST_POOLS} pools already, which is the most")
    return replace(now, pools=(*now.pools, pool))


def removed(now: Replicas, services: Services, component: str) -> Replicas:
    """Return what is wanted without a pool of batchers. Raises ScalingError."""
    count(now, services, component)
    if not component.startswith(_BATCHERS):
        raise ScalingError("component", f"{component!r} cannot be removed: only pools of batchers can")
    left = tuple(pool for pool in now.pools if f"{_BATCHERS}{pool.name}" != component)
    if not left:
        raise ScalingError("component", f"{component!r} is the last pool: add another one first")
    return replace(now, pools=left)


def _unknown(now: Replicas, services: Services, component: str) -> ScalingError:
    known = ", ".join(scalable(now, services))
    if why := _SINGLE.get(component):
        return ScalingError("component", f"{component!r} cannot be scaled: {why}; what can: {known}")
    return ScalingError("component", f"there is no component {component!r} to scale; known: {known}")
