"""The registry: holds, deletion, what stood at a past time, and what was measured."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from headrace.registry.v1 import registry_pb2

from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import invalid
from headrace_client.operations.list_pages import list_all
from headrace_client.operations.models import DEFAULT_TIMEOUT_S


def hold_version(
    session: Session,
    model: str,
    version: str,
    holder: str,
    ttl: timedelta,
    *,
    reason: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.Hold]:
    """Keep a version and its model from being removed for `ttl`; a repeat by the same holder restarts the time."""
    request = registry_pb2.HoldVersionRequest(
        name=f"models/{model}/versions/{version}", holder=holder, ttl=ttl, reason=reason
    )
    return (yield from invoke(session, registry_pb2.HoldVersionResponse, request, timeout_s=timeout)).hold


def release_hold(
    session: Session, model: str, version: str, holder: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[None]:
    """End a hold; one that does not exist is no error."""
    request = registry_pb2.ReleaseHoldRequest(name=f"models/{model}/versions/{version}", holder=holder)
    yield from invoke(session, registry_pb2.ReleaseHoldResponse, request, timeout_s=timeout)


def list_holds(
    session: Session, model: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[registry_pb2.Hold]]:
    """Return the holds on a model's versions, by version and holder."""
    request = registry_pb2.ListHoldsRequest(parent=f"models/{model}")
    return (yield from list_all(session, registry_pb2.ListHoldsResponse, request, "holds", timeout_s=timeout))


def delete_model(
    session: Session,
    model: str,
    *,
    etag: str = "",
    with_route: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[None]:
    """Take a model and all its versions away for good; its name is never used again, and its history stays.

    Raises PreconditionFailed naming each hold while one of its versions is held: a declared route holds what it names,
    unless `with_route` is set.
    """
    request = registry_pb2.DeleteModelRequest(
        name=f"models/{model}",
        etag=etag,
        with_route=with_route,
        reason=reason,
        request_id=request_id or str(uuid.uuid4()),
    )
    yield from invoke(session, registry_pb2.DeleteModelResponse, request, timeout_s=timeout)


def model_as_of(
    session: Session, model: str, time: datetime, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[registry_pb2.GetModelAsOfResponse]:
    """Return what was in production and behind each alias at a past time; `time` has a zone."""
    if time.tzinfo is None:
        raise invalid("time", "has no zone: datetime.now(UTC), or .astimezone() for local time")
    request = registry_pb2.GetModelAsOfRequest(name=f"models/{model}")
    request.time.FromDatetime(time.astimezone(UTC))
    return (yield from invoke(session, registry_pb2.GetModelAsOfResponse, request, timeout_s=timeout))


def list_measurements(
    session: Session, model: str, version: str, *, limit: int | None = 100, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[registry_pb2.Measurement]]:
    """Return the newest `limit` values that Headrace measured on a version, newest first; None returns all."""
    request = registry_pb2.ListMeasurementsRequest(parent=f"models/{model}/versions/{version}")
    return (
        yield from list_all(
            session, registry_pb2.ListMeasurementsResponse, request, "measurements", timeout_s=timeout, limit=limit
        )
    )


def record_measurements(
    session: Session,
    model: str,
    version: str,
    digest: str,
    metrics: Mapping[str, float],
    *,
    source: str,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.ModelVersion]:
    """Keep what was measured on a version, as gates of measured values read it; return the version with it.

    It takes the scope `registry.measure`. digest: of the version that was measured: another one of that name is refused
    with PreconditionFailed. source: what measured; the registry keeps the client's name beside it.
    """
    request = registry_pb2.RecordMeasuredMetricsRequest(
        name=f"models/{model}/versions/{version}",
        digest=digest,
        metrics=[registry_pb2.Metric(name=name, value=value) for name, value in metrics.items()],
        source_process=source,
    )
    return (yield from invoke(session, registry_pb2.RecordMeasuredMetricsResponse, request, timeout_s=timeout)).version
