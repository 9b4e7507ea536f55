"""Pure: how many of each service a stack runs, and which pools of batchers there are."""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

MOST = 64
"""Replicas of one service at most: more than one machine has use for."""
MOST_POOLS = 16

POOLS_SETTING = "HEADRACE_POOLS"
BATCHERS_SETTING = "HEADRACE_BATCHERS"
DEFAULT_POOL = "default"

_POOL_NAME = re.compile(r"[a-z]+[a-z0-9]*(-[a-z]+[a-z0-9]*)*")
_LONGEST_POOL_NAME = 40


class Backend(enum.StrEnum):
    """Backend of the batchers: one Triton each, ONNX Runtime inside the batcher, or a Triton behind the simulator,
    which injects faults on request (`libs/simulator`)."""

    TRITON = "triton"
    ONNXRUNTIME = "onnxruntime"
    SIMULATOR = "simulator"


@dataclass(frozen=True, slots=True)
class Pool:
    """Batchers that can stand in for each other. Raises ValueError for a name that no component could have.

    gaps: numbers that none has although there are higher ones: who had them has left.
    """

    name: str
    backend: Backend = Backend.TRITON
    replicas: int = 1
    gaps: tuple[int, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        # A word cannot begin with a digit: `batcher-a-1` is the second replica of the pool `a`.
        if _POOL_NAME.fullmatch(self.name) is None or len(self.name) > _LONGEST_POOL_NAME:
            raise ValueError(
                f"pool {self.name!r} must be at most {_LONGEST_POOL_NAME} characters: words of lower-case letters and "
                "digits that begin with a letter, joined by hyphens"
            )

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of its batchers, rising."""
        free = (number for number in itertools.count() if number not in self.gaps)
        return tuple(itertools.islice(free, self.replicas))

    def resized(self, count: int, first: Sequence[int] = ()) -> Pool:
        """Return it with so many batchers. first: numbers of those that leave first, in order; then the newest leave.

        New ones take the lowest numbers that are free.
        """
        there = list(self.numbers)
        leaving = [number for number in dict.fromkeys(first) if number in there]
        leaving += [number for number in reversed(there) if number not in leaving]
        gone = set(leaving[: max(len(there) - count, 0)])
        numbers = [number for number in there if number not in gone]
        new = (number for number in itertools.count() if number not in there)
        numbers += itertools.islice(new, max(count - len(there), 0))
        gaps = tuple(number for number in range(max(numbers, default=0)) if number not in numbers)
        return replace(self, replicas=count, gaps=gaps)

    def __str__(self) -> str:
        return f"{self.name}={self.backend}" + (f":{self.replicas}" if self.replicas != 1 else "")


POOLS = (Pool(DEFAULT_POOL, Backend.TRITON), Pool("cpu", Backend.ONNXRUNTIME))
ENOUGH_FOR_TWO_BYTES = 4 * 1024**3
"""Memory from which on a second batcher of the pool `default` is no question (decision 242)."""


def usual_pools(memory_bytes: int) -> tuple[Pool, ...]:
    """Return the default pools of a stack. memory_bytes: of the machine, or of its container."""
    batchers = 2 if memory_bytes >= ENOUGH_FOR_TWO_BYTES else 1
    return tuple(replace(pool, replicas=batchers) if pool.name == DEFAULT_POOL else pool for pool in POOLS)


@dataclass(frozen=True, slots=True)
class Replicas:
    """Processes of each service that scales, and the pools of batchers.

    others: those of services that only deploy/topology.toml describes, by name, where there is more than one.
    """

    registries: int = 1
    control_planes: int = 1
    data_planes: int = 1
    monitors: int = 1
    pools: tuple[Pool, ...] = POOLS
    others: tuple[tuple[str, int], ...] = ()

    def pool(self, name: str) -> Pool | None:
        """Return the pool of this name, or None."""
        return next((pool for pool in self.pools if pool.name == name), None)

    def with_batchers(self, count: int, pool: str = DEFAULT_POOL, first: Sequence[int] = ()) -> Replicas:
        """Return the same with so many batchers in a pool that exists. first: numbers of those that leave first."""
        pools = (one.resized(count, first) if one.name == pool else one for one in self.pools)
        return replace(self, pools=tuple(pools))

    def __str__(self) -> str:
        """As the variables that ask for them, those that differ from what is usual."""
        usual = to_environment(ONE_OF_EACH)
        asked = (f"{name}={value}" for name, value in to_environment(self).items() if value != usual[name])
        return " ".join(asked) or "one of each"


ONE_OF_EACH = Replicas()
COUNTS = tuple(one.name for one in fields(Replicas) if one.name not in ("pools", "others"))


# By the name of the service in deploy/topology.toml.
COUNTED = {
    "front-door": "data_planes",
    "registry": "registries",
    "router-control": "control_planes",
    "monitor": "monitors",
}


def replicas_of(replicas: Replicas, service: str) -> int:
    """Return the replica count of a service; 1 where none is set."""
    if service in COUNTED:
        return getattr(replicas, COUNTED[service])
    return dict(replicas.others).get(service, 1)


def with_replicas(replicas: Replicas, service: str, count: int) -> Replicas:
    """Return the same with so many of a service."""
    if service in COUNTED:
        return replace(replicas, **{COUNTED[service]: count})
    counts = {**dict(replicas.others), service: count}
    return replace(replicas, others=tuple(sorted((name, many) for name, many in counts.items() if many != 1)))


def setting(count: str) -> str:
    """Return the variable that says how many replicas there are."""
    return f"HEADRACE_{count.upper()}"


def read(environment: Mapping[str, str], memory_bytes: int = 0) -> Replicas:
    """Read the counts and pools. memory_bytes: as in `usual_pools`. Raises ValueError naming the variable."""
    counts = {name: _count(setting(name), environment.get(setting(name))) for name in COUNTS}
    described = environment.get(POOLS_SETTING)
    pools = _pools(described) if described else usual_pools(memory_bytes)
    found = replace(Replicas(pools=pools), **counts)
    if raw := environment.get(BATCHERS_SETTING):
        if found.pool(DEFAULT_POOL) is None:
            raise ValueError(
                f"{BATCHERS_SETTING}={raw!r} counts the pool {DEFAULT_POOL!r}, which {POOLS_SETTING} lacks"
            )
        found = found.with_batchers(_count(BATCHERS_SETTING, raw))
    return found


def to_environment(replicas: Replicas) -> dict[str, str]:
    """Return the variables from which `read` makes the same counts."""
    default = replicas.pool(DEFAULT_POOL)
    pools = (replace(pool, replicas=1, gaps=()) if pool is default else pool for pool in replicas.pools)
    return {
        **{setting(name): str(getattr(replicas, name)) for name in COUNTS},
        BATCHERS_SETTING: "" if default is None else str(default.replicas),
        POOLS_SETTING: ";".join(map(str, pools)),
    }


def of_json(raw: Mapping[str, Any]) -> Replicas:
    """Return what `dataclasses.asdict` has made of it. Raises ValueError, KeyError and TypeError."""
    pools = (
        Pool(pool["name"], Backend(pool["backend"]), pool["replicas"], tuple(pool.get("gaps", ())))
        for pool in raw["pools"]
    )
    others = tuple((name, count) for name, count in raw["others"])
    return Replicas(**{**raw, "pools": tuple(pools), "others": others})


def named(component: str, number: int) -> str:
    """Return the name of one replica; the first has the component's own."""
    return f"{component}-{number}" if number else component


def _count(variable: str, raw: str | None) -> int:
    raw = raw or "1"
    if not (raw.isascii() and raw.isdecimal()) or len(raw) > 4 or not 1 <= int(raw) <= MOST:
        raise ValueError(f"{variable}={raw!r} must lie in 1..{MOST}")
    return int(raw)


def _pools(text: str) -> tuple[Pool, ...]:
    """Read `name=backend[:replicas]`, separated by semicolons."""
    found: dict[str, Pool] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, _, rest = part.partition("=")
        backend, _, count = rest.partition(":")
        if backend not in list(Backend):
            known = " or ".join(Backend)
            raise ValueError(f"{POOLS_SETTING}: {part!r} is not `pool=backend[:replicas]` with the backend {known}")
        if name in found:
            raise ValueError(f"{POOLS_SETTING}: pool {name!r} is named twice")
        try:
            found[name] = Pool(name, Backend(backend), _count(f"{POOLS_SETTING}, pool {name}", count))
        except ValueError as error:
            raise ValueError(
                str(error) if str(error).startswith(POOLS_SETTING) else f"{POOLS_SETTING}: {error}"
            ) from None
    if not 1 <= len(found) <= MOST_POOLS:
        raise ValueError(f"{POOLS_SETTING}={text!r} must name 1 to {MOST_POOLS} pools")
    return tuple(found.values())
