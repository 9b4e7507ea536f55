"""Publishes as values, and what is decided about them: room, whether one is complete, what may be removed."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace_servicekit.errors import Aborted, DataLoss, PreconditionFailed, ResourceExhausted, ServiceError

from headrace_router.control.decisions.stored_answers import UNKNOWN_ORIGIN, AnswerState, Origin
from headrace_router.control.precomputed.decisions.places import Place


class State(enum.Enum):
    """How far a publish is."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


class Condition(enum.Enum):
    """Whether the precomputed answers of a version can be given."""

    NONE = "none"
    PRESENT = "present"
    LOST = "lost"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Publish:
    """One generation of answers, as the database has it.

    incarnation: of the database when it began. expected: generation that counted when it began, 0 for none. rows,
    entities, bytes: as noted last. closed_at: when it was aborted or stopped counting; closed_after: newest generation
    of tables then.
    """

    generation: int
    incarnation: str
    model: str
    version: str
    digest: str
    state: State
    state_reason: str
    expected: int
    declared_rows: int
    rows: int
    entities: int
    bytes: int
    client: str
    computed_at: datetime
    ttl: timedelta | None
    begun_at: datetime
    committed_at: datetime | None = None
    expires_at: datetime | None = None
    closed_at: datetime | None = None
    closed_after: int | None = None
    origin: Origin = UNKNOWN_ORIGIN

    @property
    def name(self) -> str:
        """Return the resource name."""
        return f"models/{self.model}/versions/{self.version}/publishes/{self.generation}"


@dataclass(frozen=True, slots=True)
class Answers:
    """The generations of a version. active: that counts. previous: that a revert returns to. opened: open publishes."""

    version: str
    condition: Condition
    active: Publish | None
    previous: Publish | None
    opened: tuple[Publish, ...] = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """What a publish says of itself when it begins. fingerprint: of the whole request.

    computed_by: digest of the version that computed the answers; empty when that is not said.
    """

    declared_rows: int
    computed_at: datetime
    ttl: timedelta | None
    client: str
    request_id: str
    fingerprint: bytes
    origin: Origin = UNKNOWN_ORIGIN
    computed_by: str = ""


def check_version(declared: Declared, digest: str, version: str) -> None:
    """Raise PreconditionFailed, reason VERSION_MISMATCH, when another version computed the answers. digest: its own."""
    if declared.computed_by not in ("", digest):
        raise PreconditionFailed(
            f"origin.version_digest: the answers were computed by a version with digest '{declared.computed_by}', and "
            f"{version} is '{digest}': publish them for the version that computed them",
            reason="VERSION_MISMATCH",
            metadata={"version_digest": digest},
        )


def check_room(wanted_bytes: int, others_bytes: int, limit_bytes: int, share: float) -> None:
    """Raise ResourceExhausted, reason STORE_FULL, when all answers together would take more than their share.

    limit_bytes: of the store's memory, 0 for none. others_bytes: what the other generations take or have declared. What
    the cache takes does not count: it gives way.
    """
    allowed = int(share * limit_bytes)
    if limit_bytes and others_bytes + wanted_bytes > allowed:
        raise ResourceExhausted(
            f"the answers would take {_mib(wanted_bytes)} MiB; of the {_mib(allowed)} MiB for precomputed answers "
            f"({share:.0%} of the store's memory) others take {_mib(others_bytes)} MiB",
            reason="STORE_FULL",
        )


def check_complete(publish: Publish, rows: int | None, acknowledged: int) -> None:
    """Raise when a publish does not have all rows. rows: that the store has; None when it has lost them.

    acknowledged: rows that the caller knows to be acknowledged; 0 for unknown. Raises DataLoss, reason PUBLISH_LOST,
    and PreconditionFailed, reason ROWS_MISSING.
    """
    known = max(publish.rows, acknowledged)
    if rows is None or rows < known:
        raise DataLoss(
            f"the store has {rows or 0} of the {known} rows that were acknowledged: send the others again",
            reason="PUBLISH_LOST",
            metadata={"publish": publish.name, "row_count": str(rows or 0)},
        )
    if rows < publish.declared_rows:
        raise PreconditionFailed(
            f"{rows} of the {publish.declared_rows} rows that were declared are there",
            reason="ROWS_MISSING",
            metadata={"publish": publish.name, "row_count": str(rows)},
        )
    if rows == 0:
        raise PreconditionFailed("the publish has no rows", reason="ROWS_MISSING", metadata={"publish": publish.name})


def closed(publish: Publish) -> Aborted:
    """Return the error for a publish that is no longer open."""
    how = {State.OPEN: "is being committed", State.COMMITTED: "was committed"}.get(
        publish.state, f"was given up: {publish.state_reason}"
    )
    return Aborted(f"the publish {how}", reason="PUBLISH_CLOSED", metadata={"publish": publish.name})


def missing_rows(publish: Publish, rows: int, first_row: int) -> ServiceError:
    """Return the error for a chunk that begins behind the end of a publish."""
    return PreconditionFailed(
        f"first_row: the chunk begins with row {first_row}, and the publish has {rows} rows: continue there",
        reason="ROWS_MISSING",
        metadata={"publish": publish.name, "row_count": str(rows)},
    )


def condition_of(kept: AnswerState, marked: Collection[int] | None, now: datetime) -> Condition:
    """Return whether a version's answers can be given. marked: whole generations; None when that is unknown."""
    if kept.precomputed is None:
        return Condition.NONE
    if kept.precomputed.expires_at is not None and kept.precomputed.expires_at <= now:
        return Condition.EXPIRED
    if marked is None:
        return Condition.UNKNOWN
    return Condition.PRESENT if kept.generation in marked else Condition.LOST


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is to be done about publishes, as numbers of generations.

    committed: take for committed what counts. closed: no longer count. reopened: count again. removable: no longer
    read.
    """

    committed: tuple[int, ...]
    closed: tuple[int, ...]
    reopened: tuple[int, ...]
    removable: tuple[int, ...]


def plan_sweep(
    publishes: Iterable[Publish],
    kept: Mapping[tuple[str, str], AnswerState],
    *,
    incarnation: str,
    oldest_in_use: int,
    settled: Collection[int],
    past_revert: Collection[int],
    expired_before: datetime,
) -> Sweep:
    """Decide what is to be done about the publishes whose rows may be in the store.

    kept: by model and digest. oldest_in_use: generation of tables that every data plane has let the older ones go
    for. settled: publishes closed long enough that nobody writes to them. past_revert: those closed for longer than
    reverts go back. expired_before: no data plane reads answers that expired then, however wrong clocks are.
    """
    committed, closing, reopened, removable = [], [], [], []
    for one in publishes:
        number, state = one.generation, kept.get((one.model, one.digest))
        counts = state is not None and state.generation == number and one.incarnation == incarnation
        earlier = state is not None and any(number == before.generation for before in state.earlier)
        if one.incarnation != incarnation:  # another store began it, before a restore: no table names its keys
            removable.append(number)
        elif (counts or earlier) and one.state is not State.COMMITTED:
            committed.append(number)
        elif counts and one.closed_at is not None:
            reopened.append(number)
        elif counts:
            if one.expires_at is not None and one.expires_at < expired_before:
                removable.append(number)
        elif one.state is State.COMMITTED and one.closed_at is None:
            closing.append(number)
        elif one.closed_at is not None and number in settled and _unread(one, state, oldest_in_use, past_revert):
            removable.append(number)
    return Sweep(tuple(committed), tuple(closing), tuple(reopened), tuple(removable))


def _unread(publish: Publish, kept: AnswerState | None, oldest_in_use: int, past_revert: Collection[int]) -> bool:
    """Return whether no data plane reads a closed generation and no revert, which goes back one step, returns to it."""
    if (publish.closed_after or 0) > oldest_in_use:
        return False
    previous = kept.previous if kept is not None else None
    return previous is None or previous.generation != publish.generation or publish.generation in past_revert


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f}"


def place_of(publish: Publish) -> Place:
    """Return where the rows of a publish lie."""
    return Place(publish.incarnation, publish.digest, publish.generation)
