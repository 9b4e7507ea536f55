"""What a job read and wrote, as RunEvents of OpenLineage 2-0-2. Pure.

A scoring job is a run; what it scores, with which model, is the job that OpenLineage knows.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from headrace_servicekit.outbox.openlineage import Dataset, Producer, Run

from headrace_scorer.decisions.jobs import Event, Job, State
from headrace_scorer.decisions.specs import Location, Source, Spec

_PRODUCER = Producer("scorer", job_type="JOB")
# A retry continues the run that failed; consumers take the latest event of a run.
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
    """Return the RunEvent of a job event; None for one without lineage. incarnation: of the store, for the run id."""
    type_ = _TYPES.get(event.type)
    if type_ is None:
        return None
    return _PRODUCER.run_event(
        type_,
        time,
        Run(run_id(job, incarnation), f"scoring.{job.model}.{_read(job.spec)}"),
        code_version=code_version,
        inputs=[_input(job), _PRODUCER.model_version(job.model, job.version.id, job.version.digest)],
        outputs=[_output(job)],
        run_facets=_run_facets(job),
    )


def run_id(job: Job, incarnation: UUID) -> UUID:
    """Return the id of a job's run: the same in each of its events, and in no other store."""
    return uuid5(incarnation, job.name)


def _run_facets(job: Job) -> dict[str, Any]:
    if job.state is not State.FAILED:
        return {}
    message = f"{job.failure}: {job.reason}"
    return {"errorMessage": _PRODUCER.facet("ErrorMessageRunFacet", message=message, programmingLanguage="PYTHON")}


def _input(job: Job) -> Dataset:
    rows = job.manifest.rows_in if job.manifest is not None else job.progress.rows
    counts = {
        name: value
        for name, value in (("rowCount", rows), ("size", job.progress.input_bytes or None))
        if value is not None
    }
    dataset = _dataset(job.spec.input, job.plan.input_digest if job.plan is not None else "")
    if (source := job.spec.source) is not None:
        dataset |= {"namespace": f"source://{source.name}", "name": _rows(source)}
    return dataset | {"inputFacets": {"inputStatistics": _PRODUCER.facet("InputStatisticsInputDatasetFacet", **counts)}}


def _read(spec: Spec) -> str:
    return spec.input.uri if spec.source is None else f"{spec.source.name}.{_rows(spec.source)}"


def _rows(source: Source) -> str:
    """Return a name of a table, or of a query: the same for the same one, and for no other."""
    return source.table or f"query-{hashlib.sha256(source.query.encode()).hexdigest()[:16]}"


def _output(job: Job) -> Dataset:
    manifest = job.manifest
    if manifest is None:
        return _dataset(job.output, "")
    counts = {"rowCount": manifest.rows_out, "fileCount": manifest.files}
    dataset = _dataset(job.output, manifest.output_digest)
    statistics = _PRODUCER.facet("OutputStatisticsOutputDatasetFacet", **counts)
    return dataset | {"outputFacets": {"outputStatistics": statistics}}


def _dataset(at: Location, digest: str) -> Dataset:
    return _PRODUCER.dataset(f"s3://{at.bucket}", at.prefix or "/", digest)
