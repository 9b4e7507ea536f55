"""What a job read and wrote, as RunEvents of OpenLineage 2-0-2. Pure.

A scoring job is a run; what it scores, with which model, is the job that OpenLineage knows.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from headrace_scorer.decisions.jobs import Event, Job, State
from headrace_scorer.decisions.specs import Location, Source, Spec

NAMESPACE = "headrace"
PRODUCER = "urn:headrace:scorer"
_SPEC = "https://openlineage.io/spec"
SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
# Version of each facet that is written.
_FACETS = {
    "DatasetVersionDatasetFacet": "1-0-1",
    "ErrorMessageRunFacet": "1-0-1",
    "InputStatisticsInputDatasetFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "ProcessingEngineRunFacet": "1-1-1",
}
# A retry goes on with the same run, which has failed before: consumers take the last word.
_TYPES = {
    "created": "START",
    "running": "RUNNING",
    "recovered": "RUNNING",
    "retried": "RUNNING",
    "succeeded": "COMPLETE",
    "failed": "FAIL",
    "cancelled": "ABORT",
}


def run_event(job: Job, event: Event, time: datetime, incarnation: UUID, code_version: str) -> dict[str, Any] | None:
    """Return what there is to tell of an event; None for nothing. incarnation: of the store, for the run's id."""
    type_ = _TYPES.get(event.type)
    if type_ is None:
        return None
    return {
        "eventType": type_,
        "eventTime": time.isoformat().replace("+00:00", "Z"),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": str(run_id(job, incarnation)), "facets": _run_facets(job, code_version)},
        "job": {
            "namespace": NAMESPACE,
            "name": f"scoring.{job.model}.{_read(job.spec)}",
            "facets": {"jobType": _JOB_TYPE},
        },
        "inputs": [_input(job), _model(job)],
        "outputs": [_output(job)],
    }


def run_id(job: Job, incarnation: UUID) -> UUID:
    """Return the id of a job's run: the same in each of its events, and in no other store."""
    return uuid5(incarnation, job.name)


def _run_facets(job: Job, code_version: str) -> dict[str, Any]:
    facets = {"processing_engine": _facet("ProcessingEngineRunFacet", version=code_version, name="headrace-scorer")}
    if job.state is State.FAILED:
        told = f"{job.failure}: {job.reason}"
        facets["errorMessage"] = _facet("ErrorMessageRunFacet", message=told, programmingLanguage="PYTHON")
    return facets


def _input(job: Job) -> dict[str, Any]:
    rows = job.manifest.rows_in if job.manifest is not None else job.progress.rows
    counts = {
        name: value
        for name, value in (("rowCount", rows), ("size", job.progress.input_bytes or None))
        if value is not None
    }
    dataset = _dataset(job.spec.input, job.plan.input_digest if job.plan is not None else "")
    if (source := job.spec.source) is not None:
        dataset |= {"namespace": f"source://{source.name}", "name": _rows(source)}
    return dataset | {"inputFacets": {"inputStatistics": _facet("InputStatisticsInputDatasetFacet", **counts)}}


def _read(spec: Spec) -> str:
    return spec.input.uri if spec.source is None else f"{spec.source.name}.{_rows(spec.source)}"


def _rows(source: Source) -> str:
    """Return a name of a table, or of a query: the same for the same one, and for no other."""
    return source.table or f"query-{hashlib.sha256(source.query.encode()).hexdigest()[:16]}"


def _model(job: Job) -> dict[str, Any]:
    name = f"models/{job.model}/versions/{job.version.id}"
    return {"namespace": NAMESPACE, "name": name, "facets": _version(job.version.digest)}


def _output(job: Job) -> dict[str, Any]:
    manifest = job.manifest
    if manifest is None:
        return _dataset(job.output, "")
    counts = {"rowCount": manifest.rows_out, "fileCount": manifest.files}
    dataset = _dataset(job.output, manifest.output_digest)
    return dataset | {"outputFacets": {"outputStatistics": _facet("OutputStatisticsOutputDatasetFacet", **counts)}}


def _dataset(at: Location, digest: str) -> dict[str, Any]:
    return {"namespace": f"s3://{at.bucket}", "name": at.prefix or "/", "facets": _version(digest)}


def _version(digest: str) -> dict[str, Any]:
    return {"version": _facet("DatasetVersionDatasetFacet", datasetVersion=digest)} if digest else {}


def _facet(kind: str, **values: Any) -> dict[str, Any]:
    url = f"{_SPEC}/facets/{_FACETS[kind]}/{kind}.json#/$defs/{kind}"
    return {"_producer": PRODUCER, "_schemaURL": url, **values}


_JOB_TYPE = _facet("JobTypeJobFacet", processingType="BATCH", integration="HEADRACE", jobType="JOB")
