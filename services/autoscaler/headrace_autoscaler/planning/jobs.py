"""Jobs of a planning process and its answers: one JSON document per line."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import Counts, Trace


@dataclass(frozen=True, slots=True)
class PackedTrace:
    """A trace; counts: its float64 as base64, for there may be millions."""

    name: str
    start: float
    counts: str

    @classmethod
    def of(cls, trace: Trace) -> PackedTrace:
        """Return a trace as it is sent."""
        return cls(trace.name, trace.start, base64.b64encode(trace.requests.astype("<f8").tobytes()).decode())

    def trace(self) -> Trace:
        """Return the trace that was sent."""
        counts: Counts = np.frombuffer(base64.b64decode(self.counts), dtype="<f8").astype(np.float64)
        return Trace(self.name, counts, self.start)


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy under a name: its own, or one that is known."""

    name: str
    policy: PoolPolicy | None
    known: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """A simulation of policies, or, without any, advice. step_s: the span of a point of a course; None for none."""

    trace: PackedTrace
    setup: Setup
    policies: tuple[NamedPolicy, ...]
    skip_s: int = 0
    step_s: int | None = None
    replicas: int = 1
    ready_hours: float | None = None
    allowed: float = 0.01


@dataclass(frozen=True, slots=True)
class Point:
    """A span of a course; broken: the requests that broke the objective."""

    time: float
    demand: float
    ready: float
    asked_for: float
    broken: float


@dataclass(frozen=True, slots=True)
class Result:
    """What one policy did."""

    name: str
    requests: float
    violations: float
    replica_hours: float
    cost: float
    changes: int
    turns: int
    most_replicas: int
    wait_p99_s: float
    points: tuple[Point, ...] = ()
    policy: PoolPolicy | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """What stood idle."""

    hours: float
    idle_hours: float
    fixed: int
    saved_a_month: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of an answer. done: progress from 0 to 1. today, idle, met: only at the end of advice, whose results are
    proposals. failure: why there is no answer, as a message for the caller.
    """

    done: float
    step: str = ""
    result: Result | None = None
    today: Result | None = None
    idle: Idle | None = None
    met: bool | None = None
    failure: str | None = None
