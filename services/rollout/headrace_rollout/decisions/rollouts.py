"""The state of a rollout: all that a controller needs to continue it. Plain values, stored as JSON."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from headrace_rollout.decisions.policies import Policy, Shadow, Step


class State(enum.StrEnum):
    """Where a rollout is; rollout.proto says what each means."""

    PREPARING = "preparing"
    SHADOWING = "shadowing"
    RUNNING = "running"
    PROMOTING = "promoting"
    ROLLING_BACK = "rolling_back"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    FAILED = "failed"
    DISPLACED = "displaced"
    SHADOWED = "shadowed"

    @property
    def over(self) -> bool:
        """Whether nothing follows."""
        return self in _OVER


_OVER = frozenset({State.SUCCEEDED, State.ROLLED_BACK, State.ABORTED, State.FAILED, State.DISPLACED, State.SHADOWED})


class Decision(enum.StrEnum):
    """What follows from the evidence."""

    HOLD = "hold"
    ADVANCE = "advance"
    ROLL_BACK = "roll_back"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class MetricEvidence:
    """The evidence of one metric; rollout.proto says what each means."""

    metric: str
    log_evidence_worse: float
    log_evidence_fine: float
    log_threshold: float
    log_threshold_fine: float
    baseline_count: int
    baseline_bad_count: int
    candidate_count: int
    candidate_bad_count: int
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    detectable_rate: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says, and why, in a sentence. metric: that decided, if one did."""

    decision: Decision
    reason: str
    metrics: tuple[MetricEvidence, ...]
    time: datetime
    metric: str = ""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout.

    original: the route at the start, as JSON, which a rollback restores. etag: of the route after the last confirmed
    write; it is stored before a write carries it, so a controller that resumes after a pause writes nothing stale.
    writes: number of the next write; with the id it forms the write's request id. step: -1 before the first. moving:
    the write of the route for `stage` is not acknowledged yet. share: acknowledged share of the traffic. limited_to:
    part of the step's share that the pool has head-room for; None for all of it. skip: a client asked to skip the
    current step. ends_as: final state after a rollback. reference, alias: how the variant names its version. evidence:
    of the judge, at the current stage. bad_from, bad_until: first and last second with bad answers of a version that
    was rolled back. promotion_request: name of the registry's request that started it; empty for none. asks: reason of
    the approval that it waits for; empty for none. drift_accepted: an approver accepted drift for the whole rollout.
    """

    id: int
    model: str
    version: str
    baseline: str
    variant: str
    pool: str
    reference: str
    alias: str
    policy: Policy
    original: str
    etag: str
    client: str
    start_reason: str
    create_time: datetime
    state: State = State.PREPARING
    reason: str = ""
    writes: int = 1
    step: int = -1
    moving: bool = False
    share: float = 0.0
    limited_to: float | None = None
    paused: bool = False
    frozen: str = ""
    skip: bool = False
    held: bool = False
    registry_done: bool = False
    ends_as: State | None = None
    step_time: datetime | None = None
    evidence: str = ""
    verdict: Verdict | None = None
    bad_from: datetime | None = None
    bad_until: datetime | None = None
    end_time: datetime | None = None
    revision: int = 0
    promotion_request: str = ""
    asks: str = ""
    drift_accepted: bool = False

    @property
    def name(self) -> str:
        """The resource name."""
        return f"models/{self.model}/rollouts/{self.id}"

    @property
    def manager(self) -> str:
        """Under which the rollout manages its route, and holds versions."""
        return f"rollouts/{self.id}"

    @property
    def request_id(self) -> str:
        """The request id of the next write."""
        return f"{self.manager}/{self.writes}"

    @property
    def stage(self) -> Step | Shadow:
        """What the rollout is at: a step, or the shadow before the first."""
        if self.state is not State.SHADOWING:
            return self.policy.steps[self.step]
        assert self.policy.shadow is not None, "only a policy with a shadow leads there"
        return self.policy.shadow

    @property
    def warming(self) -> bool:
        """Whether copies of requests fill the version's cache, without a judgement."""
        return self.state is State.SHADOWING and self.policy.shadow is not None and self.policy.shadow.warms

    @property
    def judged(self) -> bool:
        """Whether evidence decides at the present stage."""
        return self.policy.strategy.judged and not self.warming

    @property
    def stage_share(self) -> float:
        """The share that the version is to have at the present stage, as far as there is room for it."""
        return self.stage.share if self.limited_to is None else self.limited_to

    @property
    def last_step(self) -> bool:
        """Whether no step follows the present stage."""
        return self.step == len(self.policy.steps) - 1


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history. type: as in rollout.proto. client: empty for what the rollout did by itself."""

    type: str
    reason: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """The result of a decision: the next state of a rollout, and its history events."""

    rollout: Rollout
    events: tuple[Event, ...] = ()
