"""RunEvents of OpenLineage 2-0-2: their form, which is the same whichever service sends them. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from headrace_servicekit.outbox.events import Event
from headrace_servicekit.outbox.formats import time_text

NAMESPACE = "headrace"
_SPEC = "https://openlineage.io/spec"
SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
# Version of each facet that is written: all of them are published ones.
_FACETS = {
    "DatasetVersionDatasetFacet": "1-0-1",
    "ErrorMessageRunFacet": "1-0-1",
    "InputStatisticsInputDatasetFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "LifecycleStateChangeDatasetFacet": "1-0-1",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "ProcessingEngineRunFacet": "1-1-1",
    "TagsDatasetFacet": "1-0-0",
}

Dataset = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job. id: the same in each of its events."""

    id: UUID
    job: str


@dataclass(frozen=True, slots=True)
class Producer:
    """Who makes RunEvents. service: its name, e.g. "scorer". job_type: what its jobs are called, e.g. "JOB"."""

    service: str
    job_type: str

    @property
    def uri(self) -> str:
        """What stands as the producer of events and facets."""
        return f"urn:headrace:{self.service}"

    def run_event(
        self,
        type_: str,
        time: datetime,
        run: Run,
        *,
        code_version: str,
        inputs: Sequence[Dataset],
        outputs: Sequence[Dataset],
        run_facets: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return one event of a run. type_: START, RUNNING, COMPLETE, FAIL, ABORT. code_version: of the service."""
        engine = self.facet("ProcessingEngineRunFacet", version=code_version, name=f"headrace-{self.service}")
        job_type = self.facet("JobTypeJobFacet", processingType="BATCH", integration="HEADRACE", jobType=self.job_type)
        return {
            "eventType": type_,
            "eventTime": time_text(time),
            "producer": self.uri,
            "schemaURL": SCHEMA,
            "run": {"runId": str(run.id), "facets": {"processing_engine": engine, **(run_facets or {})}},
            "job": {"namespace": NAMESPACE, "name": run.job, "facets": {"jobType": job_type}},
            "inputs": list(inputs),
            "outputs": list(outputs),
        }

    def dataset(self, namespace: str, name: str, digest: str = "") -> Dataset:
        """Return a dataset. digest: which state of it this is; empty for unknown."""
        facets = {"version": self.facet("DatasetVersionDatasetFacet", datasetVersion=digest)} if digest else {}
        return {"namespace": namespace, "name": name, "facets": facets}

    def model_version(self, model: str, version: str, digest: str) -> Dataset:
        """Return a version of a model as a dataset: the same name for readers and writers."""
        return self.dataset(NAMESPACE, f"models/{model}/versions/{version}", digest)

    def facet(self, kind: str, **values: Any) -> dict[str, Any]:
        """Return a facet. kind: its name in the specification."""
        url = f"{_SPEC}/facets/{_FACETS[kind]}/{kind}.json#/$defs/{kind}"
        return {"_producer": self.uri, "_schemaURL": url, **values}


def event_of(delivery: UUID, run_event: Mapping[str, Any], time: datetime) -> Event:
    """Return a RunEvent as an event of the outbox, for the lineage collector."""
    run, type_ = run_event["run"]["runId"], run_event["eventType"]
    source = "/" + run_event["producer"].removeprefix("urn:").replace(":", "/")
    return Event(
        delivery, source, "openlineage.run", run, time, run_event,
        headline=type_, about=run_event["job"]["name"], summary=type_, incident=run,
    )  # fmt: skip
