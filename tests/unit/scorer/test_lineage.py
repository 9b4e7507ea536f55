"""RunEvents of a job, held against OpenLineage's own classes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from headrace_scorer.decisions.jobs import Event, Job, Manifest, Plan, Progress, State, Version
from headrace_scorer.decisions.lineage import run_event, run_id
from headrace_scorer.decisions.specs import Location, Source, Spec

from tests.kit.registry.lineage import plain, rebuilt

NOW = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)
STORE = UUID(int=7)
JOB = Job(
    7, "digits", Spec(Location("tables", "digits/day=1")), Version("v1", "d1", "sha", 10, ""),
    Location("headrace-scoring", "scored/digits/job-7"), "ada", NOW,
    plan=Plan((), (), (), 3, "in1"), progress=Progress(rows=100, input_bytes=5000),
)  # fmt: skip
MANIFEST = Manifest(100, 98, 2, "in1", "out1", "d1", "m1", "1.0", 5.0, 4.0, 256, 3, "s3://x")
SUCCEEDED = replace(JOB, state=State.SUCCEEDED, manifest=MANIFEST)


def told(job: Job, type_: str) -> dict[str, Any]:
    event = run_event(job, Event(type_, ""), NOW, STORE, "1.0")
    assert event is not None
    return event


@pytest.mark.parametrize(
    ("job", "type_", "state"),
    [
        (JOB, "created", "START"),
        (JOB, "running", "RUNNING"),
        (SUCCEEDED, "succeeded", "COMPLETE"),
        (replace(JOB, state=State.FAILED, failure="INPUT_CHANGED", reason="it did"), "failed", "FAIL"),
        (replace(JOB, state=State.CANCELLED), "cancelled", "ABORT"),
        (replace(JOB, plan=None, progress=Progress()), "created", "START"),
    ],
)
def test_an_event_is_what_the_client_of_openlineage_writes(job: Job, type_: str, state: str) -> None:
    event = told(job, type_)
    assert event["eventType"] == state
    assert plain(event) == plain(rebuilt(event))


def test_what_says_nothing_of_a_run_is_not_told() -> None:
    assert run_event(JOB, Event("paused", ""), NOW, STORE, "1.0") is None


def test_a_run_has_one_id_in_all_its_events_and_another_in_another_store() -> None:
    assert (
        told(JOB, "created")["run"]["runId"] == told(SUCCEEDED, "succeeded")["run"]["runId"] == str(run_id(JOB, STORE))
    )
    assert run_id(JOB, STORE) != run_id(JOB, UUID(int=8))
    assert run_id(JOB, STORE) != run_id(replace(JOB, id=8), STORE)


def test_inputs_and_outputs_are_datasets_with_what_tells_them_from_others() -> None:
    event = told(SUCCEEDED, "succeeded")
    table, model = event["inputs"]
    assert (table["namespace"], table["name"]) == ("s3://tables", "digits/day=1")
    assert table["inputFacets"]["inputStatistics"]["rowCount"] == 100
    assert (model["name"], model["facets"]["version"]["datasetVersion"]) == ("models/digits/versions/v1", "d1")
    (output,) = event["outputs"]
    assert (output["name"], output["facets"]["version"]["datasetVersion"]) == ("scored/digits/job-7", "out1")
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 98


def test_two_queries_of_one_source_are_two_jobs_to_lineage_and_the_same_one_is_one():
    def name(query: str) -> str:
        spec = replace(JOB.spec, source=Source("warehouse", query=query))
        return told(replace(JOB, spec=spec), "created")["job"]["name"]

    assert name("select 1") == name("select 1") != name("select 2")
    assert name("select 1").startswith("scoring.digits.warehouse.query-")
