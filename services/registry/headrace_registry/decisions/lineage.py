"""What a version was made from, as RunEvents of OpenLineage 2-0-2, whenever it is registered or put to use. Pure.

Each of these is a run that begins and ends at once: consumers ask for a START and a COMPLETE of every run.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid5

from headrace_servicekit.outbox.openlineage import NAMESPACE, Dataset, Producer, Run

from headrace_registry.decisions.compositions import registered_members
from headrace_registry.decisions.models import Action, Event, Model, Stage, Version

_PRODUCER = Producer("registry", job_type="COMMAND")
_JOBS = {Action.VERSION_CREATED: "registration", Action.STAGE_CHANGED: "promotion", Action.ROLLED_BACK: "rollback"}
# OpenLineage names files of object stores by their bucket and key, as a scoring job names what it reads. User and
# password are no part of a place, and no collector's business.
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^/\s]*@)?([^/\s@]+)/*(.*)", re.DOTALL)


def changes_lineage(event: Event) -> bool:
    """Return whether a line of history is a run. What is archived is not: a version leaves, and none is made."""
    return event.action in _JOBS and event.to_stage is not Stage.ARCHIVED


def run_events(
    model: Model, event: Event, version: Version, parent_digest: str, code_version: str
) -> list[dict[str, Any]]:
    """Return the RunEvents of a line of history that changes lineage. parent_digest: of the version's parent."""
    run = Run(run_id(model.incarnation, model.name, event), _job(model.name, event))
    inputs, output = _made_from(version, parent_digest), _made(event, version)
    return [
        _PRODUCER.run_event(type_, event.create_time, run, code_version=code_version, inputs=inputs, outputs=[output])
        for type_ in ("START", "COMPLETE")
    ]


def run_id(incarnation: UUID, model: str, event: Event) -> UUID:
    """Return the id of a run: the same in each of its events, and unique to the store."""
    return uuid5(incarnation, f"models/{model}/events/{event.epoch}/{event.ordinal}")


def _job(model: str, event: Event) -> str:
    name = f"{_JOBS[event.action]}.{model}"
    return f"{name}.{event.to_stage}" if event.action is Action.STAGE_CHANGED else name


def _made_from(version: Version, parent_digest: str) -> list[Dataset]:
    lineage, ref = version.lineage, version.ref
    members = [
        _PRODUCER.model_version(member.ref.model, member.ref.version, member.digest)
        for member in registered_members(version)
    ]
    data = [_training_data(lineage.dataset)] if lineage.dataset else []
    parent = lineage.parent_version
    return [*data, *([_PRODUCER.model_version(ref.model, parent, parent_digest)] if parent else []), *members]


def _training_data(dataset: str) -> Dataset:
    """Return the data set that people named: by its place where that is a URI, and else among Headrace's."""
    place = _URI.fullmatch(dataset)
    if place is None:
        return _PRODUCER.dataset(NAMESPACE, f"datasets/{dataset}")
    return _PRODUCER.dataset(f"{place[1]}{place[2]}", place[3] or "/")


def _made(event: Event, version: Version) -> Dataset:
    change = "CREATE" if event.action is Action.VERSION_CREATED else "ALTER"
    known = {
        "stage": event.to_stage or "",
        "format": version.format,
        "code_revision": version.lineage.code_revision,
        "training_run": version.lineage.run,
    }
    tags = [{"key": key, "value": str(value), "source": "HEADRACE"} for key, value in known.items() if value]
    dataset = _PRODUCER.model_version(version.ref.model, version.ref.version, version.digest)
    dataset["facets"] |= {
        "lifecycleStateChange": _PRODUCER.facet("LifecycleStateChangeDatasetFacet", lifecycleStateChange=change),
        "tags": _PRODUCER.facet("TagsDatasetFacet", tags=tags),
    }
    return dataset
