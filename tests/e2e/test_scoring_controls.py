"""Scoring jobs and their schedules are held, go on and end, through gRPC, REST and the command line."""

from __future__ import annotations

import pyarrow as pa
import pytest
from headrace.scorer.v1 import schedules_pb2 as pb
from headrace.scorer.v1 import schedules_pb2_grpc, scorer_pb2, scorer_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.e2e.test_scoring import BUCKET, put
from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.front_door.edge import metadata
from tests.kit.models.onnx_models import linear
from tests.kit.stack.served_models import Served

pytestmark = pytest.mark.timeout(300)


def submitted(headrace: Headrace, *words: str, bad_rows: int = 0) -> str:
    """Submit a job over ten rows of a model that is registered for it, and return MODEL/ID."""
    headrace("models", "register", headrace.model, "v1", headrace.file("v1.onnx", linear()), *GOOD)
    values = [None] * bad_rows + [1.0] * (10 - bad_rows)
    table = pa.table({"id": range(10), **{f"features_{at}": pa.array(values, pa.float64()) for at in range(4)}})
    at = put(headrace.stack, headrace.model, table)
    job = headrace("jobs", "submit", headrace.model, "--input", at, "--version", "v1", "--keep", "id", *words)
    return job["name"].removeprefix("models/").replace("/scoringJobs", "")


def test_a_schedule_is_made_held_and_removed_by_grpc_rest_and_the_command_line(headrace: Headrace, served: Served):
    job = submitted(headrace)
    short = f"{headrace.model}/yearly"
    made = headrace("schedules", "put", short, "--cron", "0 0 1 1 *", "--time-zone", "Europe/Berlin", "--like", job)
    assert (made["cron"], made["time_zone"], "next_time" in made) == ("0 0 1 1 *", "Europe/Berlin", True)
    name, path = made["name"], f"/v1/{made['name']}"
    stub = schedules_pb2_grpc.ScoringScheduleServiceStub(served.channel)
    bearer = metadata(served.stack.token())

    found = stub.GetScoringSchedule(pb.GetScoringScheduleRequest(name=name), timeout=20, metadata=bearer).schedule
    assert found.spec.input.uri == f"s3://{BUCKET}/{headrace.model}"
    assert served.rest("GET", path).json()["schedule"]["cron"] == "0 0 1 1 *"
    found.cron = "30 2 * * MON"
    put = stub.PutScoringSchedule(pb.PutScoringScheduleRequest(schedule=found), timeout=60, metadata=bearer)
    assert put.schedule.cron == "30 2 * * MON"
    again = served.rest("GET", path).json()["schedule"] | {"cron": "30 3 * * *"}
    assert served.rest("PUT", path, json=again).json()["schedule"]["cron"] == "30 3 * * *"
    assert "30 3 * * *" in headrace.run("schedules", "show", short).output

    listed = headrace("schedules", "list", "--model", headrace.model)["schedules"]
    assert [one["name"] for one in listed] == [name]
    assert name in [one["name"] for one in served.rest("GET", "/v1/scoringSchedules").json()["schedules"]]
    request = pb.ListScoringSchedulesRequest(model=headrace.model)
    assert len(stub.ListScoringSchedules(request, timeout=20, metadata=bearer).schedules) == 1

    assert headrace("schedules", "pause", short)["paused"]
    assert "paused" in headrace.run("schedules", "list", "--model", headrace.model).output
    assert not served.rest("POST", f"{path}:resume", json={}).json()["schedule"]["paused"]
    paused = stub.PauseScoringSchedule(pb.PauseScoringScheduleRequest(name=name), timeout=20, metadata=bearer)
    assert paused.schedule.paused
    resumed = stub.ResumeScoringSchedule(pb.ResumeScoringScheduleRequest(name=name), timeout=20, metadata=bearer)
    assert not resumed.schedule.paused
    assert served.rest("POST", f"{path}:pause", json={}).json()["schedule"]["paused"]
    assert not headrace("schedules", "resume", short)["paused"]

    refused = headrace("schedules", "put", short, "--cron", "99 2 * * *", "--like", job, code=2)["error"]
    assert "cron" in refused["violations"][0]["field"]
    assert headrace("schedules", "delete", short) == {"deleted": name}
    stub.DeleteScoringSchedule(pb.DeleteScoringScheduleRequest(name=name), timeout=20, metadata=bearer)
    assert served.rest("DELETE", path).status_code == 200, "repeating it is safe"
    gone = headrace("schedules", "show", short, code=3)["error"]
    assert (gone["reason"], "schedules list" in gone["remedy"]) == ("SCHEDULE_NOT_FOUND", True)


@pytest.mark.long
async def test_a_job_is_held_tried_again_and_cancelled_by_grpc_rest_and_the_command_line(
    headrace: Headrace, served: Served
):
    job = submitted(headrace, bad_rows=9)
    name = f"models/{job.replace('/', '/scoringJobs/')}"
    stub, bearer = scorer_pb2_grpc.ScorerServiceStub(served.channel), metadata(served.stack.token())

    def state() -> str:
        return headrace("jobs", "get", job)["state"]

    def held_before_it_fails_again() -> None:
        retried = stub.RetryScoringJob(scorer_pb2.RetryScoringJobRequest(name=name), timeout=20, metadata=bearer)
        assert retried.job.state == scorer_pb2.ScoringJob.STATE_QUEUED
        held = stub.PauseScoringJob(scorer_pb2.PauseScoringJobRequest(name=name), timeout=20, metadata=bearer)
        assert held.job.state == scorer_pb2.ScoringJob.STATE_PAUSED

    await eventually(lambda: state() == "STATE_FAILED", within=120, every=0.5)
    assert headrace("jobs", "retry", job)["state"] == "STATE_QUEUED"
    await eventually(lambda: state() == "STATE_FAILED", within=120, every=0.5)
    held_before_it_fails_again()
    assert headrace("jobs", "resume", job)["state"] != "STATE_PAUSED"
    await eventually(lambda: state() == "STATE_FAILED", within=120, every=0.5)
    held_before_it_fails_again()
    done = headrace("jobs", "cancel", job)
    assert done["state"] in ("STATE_CANCELLING", "STATE_CANCELLED")
    over = headrace("jobs", "pause", job, code=4)["error"]
    assert (over["reason"], "jobs history" in over["remedy"]) == ("SCORING_JOB_OVER", True)
