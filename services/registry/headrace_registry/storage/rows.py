"""Rows of PostgreSQL as the registry's values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from headrace_servicekit.outbox import events as outbox_events

from headrace_registry.decisions.approvals import PromotionRequest
from headrace_registry.decisions.files import Artifact, ArtifactType, Blob, ContentUse, Upload
from headrace_registry.decisions.models import (
    Action,
    Event,
    Format,
    Hold,
    Lineage,
    Measurement,
    Metric,
    MetricSource,
    Model,
    PoolFormats,
    Stage,
    Version,
    VersionRef,
)
from headrace_registry.decisions.notices import event_of
from headrace_registry.storage.documents import (
    APPROVALS,
    COMPOSITION,
    CONTRACT,
    GATES,
    METRICS,
    MODEL_FILE,
    NOTICE,
    PROMOTION_REQUEST,
    SERVING,
    SERVING_CHANGE,
    TEXTS,
)


def model(row: Any) -> Model:
    return Model(
        name=row["name"],
        description=row["description"],
        labels=TEXTS.read(row["labels"]),
        gates=None if row["gates"] is None else GATES.read(row["gates"]),
        aliases=TEXTS.read(row["aliases"]),
        production=row["production"],
        rollback_targets=tuple(row["rollback_targets"]),
        epoch=row["epoch"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        incarnation=row["incarnation"],
        delete_time=row["delete_time"],
        approvals=None if row["approvals"] is None else APPROVALS.read(row["approvals"]),
        max_unpromoted_share=row["max_unpromoted_share"],
    )


def version(row: Any) -> Version | None:
    return None if row is None else versions([row])[0]


def versions(found: Sequence[Any]) -> list[Version]:
    return [
        Version(
            ref=VersionRef(row["model"], row["version"]),
            stage=Stage(row["stage"]),
            metrics=METRICS.read(row["metrics"]),
            parameters=TEXTS.read(row["parameters"]),
            lineage=Lineage(row["parent_version"] or "", row["run"], row["dataset"], row["code_revision"]),
            contract=CONTRACT.read(row["contract"]),
            serving=SERVING.read(row["serving"]),
            artifacts=tuple(
                Artifact(name, ArtifactType(kind), sha256, size)
                for name, kind, sha256, size in json.loads(row["artifacts"])
            ),
            signature_hash=row["signature_hash"],
            digest=row["digest"],
            description=row["description"],
            created_by=row["created_by"],
            create_time=row["create_time"],
            epoch=row["epoch"],
            measured=tuple(
                Metric(name, float(value), MetricSource.MEASURED) for name, value in json.loads(row["measured"])
            ),
            collect_time=row["collect_time"],
            format=Format(row["format"]),
            serving_revision=row["serving_revision"],
            composition=None if row["composition"] is None else COMPOSITION.read(row["composition"]),
        )
        for row in found
    ]


def event(row: Any) -> Event:
    return Event(
        epoch=row["epoch"],
        ordinal=row["ordinal"],
        action=Action(row["action"]),
        client=row["client"],
        reason=row["reason"],
        create_time=row["create_time"],
        version=row["version"],
        from_stage=None if row["from_stage"] is None else Stage(row["from_stage"]),
        to_stage=None if row["to_stage"] is None else Stage(row["to_stage"]),
        alias=row["alias"],
        signature_breaks=tuple(row["signature_breaks"]),
        serving_change=None if row["serving_change"] is None else SERVING_CHANGE.read(row["serving_change"]),
        promotion_request=row["promotion_request"],
    )


def delivered_event(row: Any) -> outbox_events.Event:
    """Return the event that a row of deliveries has."""
    return event_of(row["id"], *NOTICE.read(row["body"]), row["create_time"])


def measurement(row: Any) -> Measurement:
    return Measurement(row["name"], row["value"], row["source_process"], row["create_time"], row["number"])


def hold(row: Any) -> Hold:
    return Hold(
        VersionRef(row["model"], row["version"]),
        row["holder"],
        row["reason"],
        row["client"],
        row["create_time"],
        row["expire_time"],
    )


def pool(row: Any) -> PoolFormats:
    return PoolFormats(row["name"], frozenset(Format(one) for one in row["formats"] if one))


def promotion_request(row: Any) -> PromotionRequest | None:
    return None if row is None else PROMOTION_REQUEST.read(row["document"])


def promotion_requests(found: Sequence[Any]) -> list[PromotionRequest]:
    return [PROMOTION_REQUEST.read(row["document"]) for row in found]


def upload(row: Any) -> Upload:
    return Upload(
        row["id"],
        row["sha256"],
        ArtifactType(row["type"]),
        row["size_bytes"],
        row["client"],
        row["staged"],
        row["create_time"],
        row["expire_time"],
        row["completed"],
    )


def content_use(row: Any) -> ContentUse:
    return ContentUse(**dict(row))


def blob(row: Any) -> Blob | None:
    if row is None:
        return None
    model_file = None if row["model_file"] is None else MODEL_FILE.read(row["model_file"])
    return Blob(row["sha256"], ArtifactType(row["type"]), row["size_bytes"], model_file)
