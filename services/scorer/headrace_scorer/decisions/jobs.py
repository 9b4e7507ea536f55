"""The life of a job: its states, and what people and the job itself may do in each. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from headrace_servicekit.errors import PreconditionFailed

from headrace_scorer.decisions.specs import Location, Spec, TensorColumns

# A process that runs a job may be lost this often before any shard of it is done; then it is the job's fault.
MAX_LOSSES = 5


class State(enum.StrEnum):
    """Where a job is; scorer.proto says what each means."""

    QUEUED = "queued"
    PLANNING = "planning"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing follows by itself."""
        return self in _OVER

    @property
    def wants_work(self) -> bool:
        """Whether a process of the scorer has to do something for it."""
        return self not in _OVER and self is not State.PAUSED


_OVER = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Version:
    """The version that scores, resolved once. contract: `ServingContract` as bytes in base64."""

    id: str
    digest: str
    sha256: str
    size_bytes: int
    contract: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. rows: None while they are not counted."""

    rows: int | None = None
    rows_done: int = 0
    rows_rejected: int = 0
    shards: int = 0
    shards_done: int = 0
    rows_per_second: float = 0.0
    input_bytes: int = 0
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a job read and wrote; scorer.proto says what each means. cost: None where no price is known."""

    rows_in: int
    rows_out: int
    rows_rejected: int
    input_digest: str
    output_digest: str
    version_digest: str
    digest: str
    code_version: str
    duration_s: float
    cpu_s: float
    batch_rows: int
    files: int
    uri: str
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How the input is read. read: its columns that are needed. types: of columns of files that do not declare them."""

    tensors: tuple[TensorColumns, ...]
    read: tuple[str, ...]
    types: tuple[tuple[str, str], ...]
    objects: int
    input_digest: str


@dataclass(frozen=True, slots=True)
class Job:
    """One job. plan: None until its shards are kept. losses: of its processes, since the last shard was done."""

    id: int
    model: str
    spec: Spec
    version: Version
    output: Location
    client: str
    create_time: datetime
    state: State = State.QUEUED
    reason: str = "waits for its turn"
    failure: str = ""
    plan: Plan | None = None
    batch_rows: int = 0
    attempts: int = 0
    losses: int = 0
    progress: Progress = field(default_factory=Progress)
    manifest: Manifest | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    revision: int = 0
    late: bool = False

    @property
    def name(self) -> str:
        """The resource name."""
        return f"models/{self.model}/scoringJobs/{self.id}"

    @property
    def holder(self) -> str:
        """Under which the job holds its version."""
        return f"scoringJobs/{self.id}"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history. client: empty for what the job did by itself."""

    type: str
    reason: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """The result of a decision: the next state of a job, and its history events."""

    job: Job
    events: tuple[Event, ...] = ()


def pause(job: Job, client: str, reason: str) -> Transition:
    """Pause a job at a client's request."""
    _refuse_over(job)
    if job.state is State.PAUSED:
        return Transition(job)
    message = reason or f"paused by {client or 'an unknown client'}"
    return Transition(replace(job, state=State.PAUSED, reason=message), (Event("paused", message, client),))


def resume(job: Job, client: str, reason: str) -> Transition:
    """Resume a paused job at a client's request."""
    _refuse_over(job)
    if job.state is not State.PAUSED:
        return Transition(job)
    message = reason or f"resumed by {client or 'an unknown client'}"
    queued = replace(job, state=State.QUEUED, reason="waits for its turn")
    return Transition(queued, (Event("resumed", message, client),))


def cancel(job: Job, client: str, reason: str) -> Transition:
    """Cancel a job at a client's request."""
    if job.state in (State.CANCELLING, State.CANCELLED):
        return Transition(job)
    _refuse_over(job)
    message = reason or f"cancelled by {client or 'an unknown client'}"
    return Transition(replace(job, state=State.CANCELLING, reason=message), (Event("cancelling", message, client),))


def retry(job: Job, client: str, reason: str) -> Transition:
    """Resume a failed job at a client's request."""
    if job.state is not State.FAILED:
        raise PreconditionFailed(
            f"{job.name} is {job.state.value}: only what failed can be tried again", reason="SCORING_JOB_NOT_FAILED"
        )
    if job.failure == "INPUT_CHANGED":
        raise PreconditionFailed(
            f"{job.name} failed because its input changed: create a new job: the scored rows are of another input",
            reason="INPUT_CHANGED",
        )
    message = reason or f"tried again by {client or 'an unknown client'}"
    again = replace(
        job, state=State.QUEUED, reason="waits for its turn", failure="", end_time=None, losses=0, batch_rows=0
    )
    return Transition(again, (Event("retried", message, client),))


def begin(job: Job, now: datetime) -> Transition:
    """A process has taken the job."""
    state = State.RUNNING if job.plan is not None else State.PLANNING
    recovered = job.state in (State.RUNNING, State.PLANNING)
    losses = job.losses + recovered
    if losses > MAX_LOSSES:
        message = (
            f"the process that runs it was lost {losses} times before a shard was done: give the scorer more memory, "
            "or set options.batch_rows or options.shard_rows lower, and retry"
        )
        return fail(job, "PROCESS_LOST", message, now)
    reason = "the input is listed and checked" if state is State.PLANNING else "shards are scored"
    begun = replace(
        job, state=state, reason=reason, attempts=job.attempts + 1, losses=losses, start_time=job.start_time or now
    )
    type_ = "recovered" if recovered else state.value
    message = "another process continued it after the previous one was lost" if recovered else reason
    return Transition(begun, (Event(type_, message),))


def planned(job: Job, plan: Plan, *, rows: int | None, shards: int, input_bytes: int) -> Transition:
    """The input is checked, and its shards are kept."""
    progress = replace(job.progress, rows=rows, shards=shards, input_bytes=input_bytes)
    known = "" if rows is None else f" with {rows:,} rows"
    message = f"{shards:,} shards{known} are scored"
    running = replace(job, state=State.RUNNING, reason=message, plan=plan, progress=progress)
    return Transition(running, (Event("running", message),))


def advanced(job: Job, progress: Progress, batch_rows: int) -> Transition:
    """More shards are done."""
    before = job.progress
    counted = replace(
        progress,
        rows_done=max(before.rows_done, progress.rows_done),
        shards_done=max(before.shards_done, progress.shards_done),
    )
    return Transition(replace(job, progress=counted, losses=0, batch_rows=batch_rows or job.batch_rows))


def succeed(job: Job, manifest: Manifest, now: datetime) -> Transition:
    """Everything is scored and accounted for."""
    message = f"{manifest.rows_out:,} rows are scored, {manifest.rows_rejected:,} rejected"
    progress = replace(job.progress, rows=manifest.rows_in, rows_per_second=0.0)
    window, before = job.spec.options.window, Transition(job)
    if window is not None and now > job.create_time + window:
        before = late(job, now - job.create_time - window)
    done = replace(
        before.job, state=State.SUCCEEDED, reason=message, manifest=manifest, end_time=now, progress=progress
    )
    return Transition(done, (*before.events, Event("succeeded", message)))


def fail(job: Job, failure: str, reason: str, now: datetime) -> Transition:
    """Fail the job. failure: code; reason: message."""
    progress = replace(job.progress, rows_per_second=0.0)
    failed = replace(job, state=State.FAILED, reason=reason, failure=failure, end_time=now, progress=progress)
    return Transition(failed, (Event("failed", reason),))


def cancelled(job: Job, now: datetime) -> Transition:
    """What it wrote is removed."""
    return Transition(replace(job, state=State.CANCELLED, end_time=now), (Event("cancelled", job.reason),))


def waits(job: Job, reason: str) -> Transition:
    """Something that it needs is away; it is tried again."""
    return Transition(replace(job, reason=reason))


def late(job: Job, by: timedelta) -> Transition:
    """It will not be over within its window, or is not; that is said once. by: at least."""
    window = job.spec.options.window
    if job.late or job.state.over or job.state is State.CANCELLING or window is None:
        return Transition(job)
    message = (
        f"it will be over at least {_long(by)} after its window of {_long(window)}: give it more workers, or let "
        "others wait, if that is too late"
    )
    return Transition(replace(job, late=True), (Event("late", message),))


def too_many_rejected(job: Job, rows: int, rejected: int, *, last: bool) -> bool:
    """Return whether a job has to fail. last: every row was judged; until then a few say little."""
    return rejected > job.spec.options.max_rejected_share * rows and (last or rows >= 10_000)


def remaining_s(progress: Progress) -> float | None:
    """Return the estimated remaining seconds of a job; None while its row count or its rate is unknown."""
    if progress.rows is None or progress.rows_per_second <= 0:
        return None
    return max(0, progress.rows - progress.rows_done) / progress.rows_per_second


def _long(time: timedelta) -> str:
    minutes = time.total_seconds() / 60
    return f"{minutes / 60:.1f} h" if minutes >= 60 else f"{minutes:.0f} min"


def _refuse_over(job: Job) -> None:
    if job.state.over or job.state is State.CANCELLING:
        raise PreconditionFailed(f"{job.name} is {job.state.value}: nothing follows", reason="SCORING_JOB_OVER")
