"""What another policy would have decided of a pool: its recorded decisions, made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from shlex import quote

from headrace.autoscaler.v1 import autoscaler_pb2, policy_pb2
from markupsafe import Markup
from starlette.responses import Response

from headrace_console import charts
from headrace_console.pages.visits import READ_S, Part, Visit, known, signed_in

_REPLAY_S = 30.0
_HOURS = (1, 6, 24)
# A day of the quickest policies has more; the first ones are shown, and the page says so.
MOST_DECISIONS = 20_000
_MOST_POINTS = 240


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a form changes of the policy in force; None leaves it. target: of the first metric."""

    min_replicas: int | None
    max_replicas: int | None
    target: float | None

    @property
    def changes(self) -> bool:
        """Return whether anything is changed."""
        return any(value is not None for value in (self.min_replicas, self.max_replicas, self.target))

    def applied(self, policy: policy_pb2.ScalingPolicy) -> policy_pb2.ScalingPolicy:
        """Return the policy with it; the autoscaler says what cannot be."""
        changed = policy_pb2.ScalingPolicy()
        changed.CopyFrom(policy)
        if self.min_replicas is not None:
            changed.min_replicas = self.min_replicas
        if self.max_replicas is not None:
            changed.max_replicas = self.max_replicas
        if self.target is not None and changed.targets:
            changed.targets[0].value = self.target
        return changed


@signed_in
async def replay(visit: Visit) -> Response:
    """Show the scaling decisions of the last hours, and those of the current policy for the same load."""
    pool, client, query = visit.argument("pool"), visit.client, visit.query
    hours = next((one for one in _HOURS if str(one) == query.get("hours")), _HOURS[0])
    policy = await visit.part("autoscaler", known(client.pools.get_policy(pool, timeout=READ_S)))
    wrong, asked = what_if(query)
    if asked.changes and policy.value is None:
        wrong = policy.problem or f"Pool {pool} has no policy that could be changed."
    found: Part[list[autoscaler_pb2.ReplayResponse] | None] = Part(problem=wrong)
    if not wrong:
        replaying = client.pools.replay(
            pool,
            start=datetime.now(UTC) - timedelta(hours=hours),
            policy=asked.applied(policy.value) if asked.changes and policy.value is not None else None,
            limit=MOST_DECISIONS,
            timeout=_REPLAY_S,
        )
        found = await visit.part("autoscaler", known(replaying))
    decisions = found.value or []
    return visit.page(
        "replay.html",
        f"Replay of pool {pool}",
        f"headrace autoscale replay {quote(pool)} --since {hours}h",
        pool=pool,
        policy=policy.value,
        hours=hours,
        choices=_HOURS,
        asked=asked,
        found=found,
        whole=len(decisions) < MOST_DECISIONS,
        picture=picture(decisions),
        differing=[one for one in decisions if one.recorded.desired_replicas != one.replayed.desired_replicas],
    )


def what_if(query: Mapping[str, str]) -> tuple[str, WhatIf]:
    """Return what is wrong with a form, if anything is, and what it changes.

    >>> what_if({"min": "2", "target": ""})
    ('', WhatIf(min_replicas=2, max_replicas=None, target=None))
    >>> what_if({"max": "many"})[0]
    'Most replicas: “many” is no whole number of 0 to 1000.'
    """
    wrong: list[str] = []

    def number(name: str, title: str, most: float, *, whole: bool = False) -> float | None:
        text = query.get(name, "").strip()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not isfinite(value) or not 0 <= value <= most or (whole and value % 1):
            kind = "whole number" if whole else "number"
            wrong.append(f"{title}: “{text[:40]}” is no {kind} of 0 to {most:g}.")
            return None
        return value

    def replicas(name: str, title: str) -> int | None:
        value = number(name, title, 1000, whole=True)
        return None if value is None else int(value)

    asked = WhatIf(
        replicas("min", "Fewest replicas"), replicas("max", "Most replicas"), number("target", "Target", 1e12)
    )
    return " ".join(wrong), asked


def picture(decisions: Sequence[autoscaler_pb2.ReplayResponse]) -> Markup:
    """Return the replicas that were wanted, and those that would be, over time."""
    step = max(1, -(-len(decisions) // _MOST_POINTS))
    shown = decisions[::step]
    times = [one.recorded.create_time.ToDatetime(UTC) for one in shown]
    was = charts.Line("decided", [float(one.recorded.desired_replicas) for one in shown], kind="two")
    now = charts.Line("replayed", [float(one.replayed.desired_replicas) for one in shown])
    return charts.lines([was, now], times, label="replicas that were decided, and that are replayed, over time")
