"""Scoring jobs on the whole stack, and what becomes of their results."""

from __future__ import annotations

import io
import time
from typing import Any

import boto3
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf import json_format
from headrace.scorer.v1 import publications_pb2, scorer_pb2
from headrace_client import Client
from headrace_client.errors import Unavailable
from headrace_stack.components import s3

from tests.kit.clients.headrace_cli import Headrace

BUCKET = "headrace-scoring"
Publication = publications_pb2.ScoringPublication
OVER = ("STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED")


def put(headrace: Headrace, name: str, users: range, *, seed: int, shift: float = 0.0) -> str:
    """Write a table of users with four features below a prefix of the test's own; return the prefix."""
    keys = s3.keys(headrace.stack.settings)
    session: Any = boto3.Session(keys.access_key, keys.secret_key, region_name="us-east-1")
    client = session.client("s3", endpoint_url=s3.endpoint(headrace.stack.settings))
    values = np.random.default_rng(seed).normal(shift, size=(len(users), 4)).astype(np.float32)
    table = pa.table({"user": [f"u{at}" for at in users], "features": pa.array(list(values), pa.list_(pa.float32()))})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=1000)
    client.put_object(Bucket=BUCKET, Key=f"{headrace.model}/{name}/part-0.parquet", Body=file.getvalue())
    return f"s3://{BUCKET}/{headrace.model}/{name}"


def job_of(uri: str, **publishing: Any) -> scorer_pb2.ScoringSpec:
    """Return a job that publishes its results by user."""
    return scorer_pb2.ScoringSpec(
        version="v1",
        input=scorer_pb2.ScoringSpec.Input(uri=uri),
        keep_columns=["user"],
        publishing=scorer_pb2.Publishing(entity_column="user", **publishing),
    )


def served(headrace: Headrace, user: str) -> tuple[str, list[float]]:
    """Return where the answer for a user comes from, and its scores."""
    answer = headrace.predict("--entity", user)
    return answer["served_from"], answer["outputs"]["scores"][0]


def scored(headrace: Headrace, spec: scorer_pb2.ScoringSpec, *, within: float = 120.0) -> dict[str, Any]:
    """Create a job and return it once it has succeeded."""
    body = {"spec": json_format.MessageToDict(spec, preserving_proto_field_name=True)}
    job = _rest(headrace, "POST", f"/v1/models/{headrace.model}/scoringJobs", json=body)["job"]
    until = time.monotonic() + within
    while job["state"] not in OVER:
        assert time.monotonic() < until, job
        time.sleep(0.25)
        job = _rest(headrace, "GET", f"/v1/{job['name']}")["job"]
    assert job["state"] == "STATE_SUCCEEDED", job["reason"]
    return job


def over(client: Client, job: str, *, within: float = 120.0) -> publications_pb2.ScoringPublication:
    """Return the publication of a job once nothing happens to it by itself; the scorer may be killed meanwhile."""
    until = time.monotonic() + within
    while True:
        try:
            return client.publications.wait(job, timeout=max(1.0, until - time.monotonic()))
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def reached(client: Client, job: str, *states: int, within: float = 60.0) -> None:
    """Return once the publication of a job is in one of some states."""
    until = time.monotonic() + within
    while client.publications.get(job).state not in states:
        assert time.monotonic() < until, client.publications.get(job)
        time.sleep(0.02)


def _rest(headrace: Headrace, verb: str, path: str, **content: Any) -> Any:
    authorization = {"authorization": f"Bearer {headrace.stack.token()}"}
    answer = httpx.request(
        verb, headrace.stack.url + path, headers=authorization, timeout=60, trust_env=False, **content
    )
    assert answer.status_code == 200, answer.text
    return answer.json()
