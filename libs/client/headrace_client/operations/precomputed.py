"""Precomputed answers: publish them, take them back, see what is kept."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from headrace.router.v1 import precomputed_pb2

from headrace_client.calls import Exchange, Operation, Pause, Session, authorization, invoke, method_of, token_of
from headrace_client.chunks import Batches, Chunks, Opened
from headrace_client.errors import (
    DataLoss,
    DeadlineExceeded,
    HeadraceError,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)
from headrace_client.operations.models import get_model

DEFAULT_TIMEOUT_S = 30.0
COMMIT_TIMEOUT_S = 60.0
# How long an upload tries to go on while no row is acknowledged.
PATIENCE_S = 60.0
# Chunks on their way at once: beyond this the store is what takes the time.
WINDOW = 8
# How often rows that the store lost are sent again.
_ROUNDS = 3

# Called with the rows acknowledged so far, and all there are; 0 when their number is unknown.
Progress = Callable[[int, int], None]


def precompute(
    session: Session,
    model: str,
    batches: Batches,
    *,
    version: str = "",
    row_count: int = 0,
    computed_at: datetime | None = None,
    ttl: timedelta | None = None,
    progress: Progress | None = None,
    request_id: str = "",
    origin: precomputed_pb2.PublishOrigin | None = None,
    timeout: float = 3600.0,
) -> Operation[precomputed_pb2.CommitPublishResponse]:
    """Publish answers by entity for a version (default: the one in production) and return what is in force.

    batches: of Answers; a list, or a function that returns a new iterator, can also be sent again after the store lost
    rows. row_count: total, 0 for unknown: the publish fails early without enough space, and late when rows are missing.
    computed_at: as of when, for the age of answers; None is now. ttl: how long they count; None is for ever. origin:
    what computed them. timeout: seconds for the upload. Interrupted uploads resume. Raises a HeadraceError; the publish
    then stays open and can be continued: `open_publish`, `continue_publish`.
    """
    opened = yield from begin_publish(
        session,
        model,
        version=version,
        row_count=row_count,
        computed_at=computed_at,
        ttl=ttl,
        request_id=request_id,
        origin=origin,
    )
    return (yield from continue_publish(session, opened, batches, total=row_count, progress=progress, timeout=timeout))


def begin_publish(
    session: Session,
    model: str,
    *,
    version: str = "",
    row_count: int = 0,
    computed_at: datetime | None = None,
    ttl: timedelta | None = None,
    request_id: str = "",
    origin: precomputed_pb2.PublishOrigin | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[Opened]:
    """Begin a publish for a version; empty means the one in production. Arguments as for `precompute`."""
    if not version:
        found = yield from get_model(session, model, timeout=timeout)
        version = found.production_version
        if not version:
            raise PreconditionFailed(
                f"'{model}' has no version in production: name one", reason="NO_PRODUCTION_VERSION"
            )
    request = precomputed_pb2.BeginPublishRequest(
        parent=f"models/{model}/versions/{version}",
        row_count=row_count,
        request_id=request_id or str(uuid.uuid4()),
        origin=origin,
    )
    if computed_at is not None:
        request.computed_time.FromDatetime(computed_at)
    if ttl is not None:
        request.ttl.FromTimedelta(ttl)
    answer = yield from invoke(session, precomputed_pb2.BeginPublishResponse, request, timeout_s=timeout)
    return _opened(answer)


def open_publish(session: Session, name: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[Opened]:
    """Return an open publish, to go on with it. Raises Aborted, reason PUBLISH_CLOSED, when it is no longer open."""
    answer = yield from invoke(
        session, precomputed_pb2.GetPublishResponse, precomputed_pb2.GetPublishRequest(name=name), timeout_s=timeout
    )
    return _opened(answer)


def continue_publish(
    session: Session,
    opened: Opened,
    batches: Batches,
    *,
    total: int = 0,
    progress: Progress | None = None,
    timeout: float = 3600.0,
) -> Operation[precomputed_pb2.CommitPublishResponse]:
    """Upload what is missing of all batches and commit; what the store loses meanwhile is sent again."""
    chunks = Chunks(opened, batches)
    for round_number in range(1, _ROUNDS + 1):
        rows = yield from _upload(session, opened, chunks, total, progress, timeout)
        try:
            return (yield from commit_publish(session, opened.name, row_count=rows))
        except (DataLoss, PreconditionFailed) as error:
            if round_number == _ROUNDS or error.reason not in ("PUBLISH_LOST", "ROWS_MISSING") or rows < total:
                raise
    raise AssertionError("unreachable")


def upload_answers(
    session: Session,
    opened: Opened,
    batches: Batches,
    *,
    total: int = 0,
    progress: Progress | None = None,
    timeout: float = 3600.0,
) -> Operation[int]:
    """Upload what is missing of all batches and return the rows of the publish."""
    return (yield from _upload(session, opened, Chunks(opened, batches), total, progress, timeout))


def commit_publish(
    session: Session, name: str, *, row_count: int = 0, timeout: float = COMMIT_TIMEOUT_S
) -> Operation[precomputed_pb2.CommitPublishResponse]:
    """Make the answers of a publish those that count, on every data plane. row_count: rows that were acknowledged."""
    request = precomputed_pb2.CommitPublishRequest(name=name, row_count=row_count)
    return (yield from invoke(session, precomputed_pb2.CommitPublishResponse, request, timeout_s=timeout))


def abort_publish(session: Session, name: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """Give an open publish up."""
    request = precomputed_pb2.AbortPublishRequest(name=name)
    yield from invoke(session, precomputed_pb2.AbortPublishResponse, request, timeout_s=timeout)


def revert_precomputed(
    session: Session, model: str, version: str, *, generation: int = 0, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[precomputed_pb2.RevertPrecomputedResponse]:
    """Make the answers before the present ones count again, or none.

    generation: the one to give up; with it the call is repeated where that helps, without it only made once.
    """
    request = precomputed_pb2.RevertPrecomputedRequest(name=f"models/{model}/versions/{version}", generation=generation)
    return (
        yield from invoke(
            session, precomputed_pb2.RevertPrecomputedResponse, request, timeout_s=timeout, idempotent=bool(generation)
        )
    )


def list_precomputed(
    session: Session, model: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[precomputed_pb2.PrecomputedAnswers]]:
    """Return what is kept for each version of a model that has, or had, precomputed answers."""
    request = precomputed_pb2.ListPrecomputedRequest(parent=f"models/{model}")
    answer = yield from invoke(session, precomputed_pb2.ListPrecomputedResponse, request, timeout_s=timeout)
    return list(answer.answers)


def _upload(
    session: Session, opened: Opened, chunks: Chunks, total: int, progress: Progress | None, timeout_s: float
) -> Operation[int]:
    """Send chunks until all are acknowledged. A cut stream is begun again where the publish is."""
    deadline = session.monotonic() + timeout_s
    current = yield from open_publish(session, opened.name)
    rows, moved_at, failures = current.row_count, session.monotonic(), 0

    def received(answer: precomputed_pb2.UploadAnswersResponse) -> None:
        nonlocal rows, moved_at, failures
        rows, moved_at, failures = answer.row_count, session.monotonic(), 0
        chunks.acknowledged(rows)
        if progress is not None:
            progress(rows, total)

    while True:
        if progress is not None:
            progress(rows, total)
        remaining_s = deadline - session.monotonic()
        if remaining_s <= 0:
            raise DeadlineExceeded(f"the upload was not complete within {timeout_s:g} s: {rows} rows are there")
        token = yield from token_of(session)
        try:
            yield Exchange(
                method_of(precomputed_pb2.UploadAnswersResponse),
                partial(chunks.from_row, rows),
                received,
                WINDOW,
                remaining_s,
                authorization(token),
            )
            return rows
        except HeadraceError as error:
            failures += 1
            if not _may_go_on(error, failures) or session.monotonic() - moved_at > PATIENCE_S:
                raise
            if isinstance(error, Unauthenticated) and token is not None:
                session.tokens.drop(token)
            yield Pause(min(2.0, 0.1 * 2 ** min(failures, 5)) * (0.5 + session.random() / 2))
        rows = yield from _where(session, opened.name, moved_at + PATIENCE_S)


def _where(session: Session, name: str, deadline: float) -> Operation[int]:
    """Return the rows of a publish, as soon as they are known."""
    while True:
        try:
            return (yield from open_publish(session, name)).row_count
        except Unavailable:
            if session.monotonic() > deadline:
                raise
            yield Pause(1.0)


def _may_go_on(error: HeadraceError, failures: int) -> bool:
    """Return whether an upload continues after an error: a lost connection, lost rows, an expired token."""
    if isinstance(error, Unauthenticated):
        return failures == 1
    return isinstance(error, Unavailable) or error.reason == "ROWS_MISSING"


def _opened(answer: precomputed_pb2.BeginPublishResponse | precomputed_pb2.GetPublishResponse) -> Opened:
    return Opened(
        answer.publish.name,
        answer.publish.row_count,
        tuple(answer.outputs),
        answer.max_chunk_rows,
        answer.max_chunk_bytes,
    )
