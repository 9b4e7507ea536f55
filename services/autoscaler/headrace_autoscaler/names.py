"""Resource names of the API: `pools/{pool}`, and what is below."""

from __future__ import annotations

from headrace_servicekit.resource_names import ids

LATEST = "latest"


def pool_of(name: str, field: str, *below: str) -> str:
    """Return the pool in `pools/{pool}`, with these words below it. Raises InvalidArgument."""
    return ids(name, field, "/".join(("pools/{pool}", *below)))[0]


def decision_of(name: str, field: str) -> tuple[str, int | None]:
    """Return pool and number of `pools/{pool}/decisions/{number}`; None for the latest. Raises InvalidArgument."""
    if name.endswith(f"/{LATEST}"):
        return pool_of(name, field, "decisions", LATEST), None
    pool, number = ids(name, field, "pools/{pool}/decisions/{number}")
    return pool, int(number)
