"""What a job would take, said before it is created; and jobs that will be late, said once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psutil
import pytest
from google.protobuf import duration_pb2
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace.webhook.v1.webhook_pb2 import Webhook
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import refused
from tests.kit.models.onnx_models import slow
from tests.kit.monitor.alerting import ALLOWED, SECRET, Receiver
from tests.kit.scorer.service import MODEL, ScorerRig, created, features, over, parquet, register, scorer

# What a job is to take that is estimated, and by how much an estimate may be wrong: in seconds, and in those of a
# processor, also where others take their share.
LONG_S, WRONG, WRONG_BESIDE_OTHERS = 75.0, 0.2, 0.35
# Share of the machine that others may take, Ray's start and the stores among them, where seconds say something.
QUIET = 0.2


@pytest.mark.long
async def test_an_estimate_counts_the_input_scores_a_sample_and_writes_nothing(scoring: ScorerRig):
    scoring.put("in/a.parquet", parquet(features(30_000)))
    spec = scoring.spec()
    spec.options.window.FromSeconds(3600)
    async with scorer(scoring, {"SCORER_PRICE_PER_CPU_HOUR": "0.04"}) as (_, stub):
        request = pb.EstimateScoringJobRequest(parent=f"models/{MODEL}", spec=spec)
        found = await stub.EstimateScoringJob(request, timeout=60)
        assert (found.rows, found.workers, found.fits_window, found.batch_rows) == (30_000, 2, True, 1024)
        assert found.sample_rows == 30_000  # of both workers, which have more time than there are rows
        assert found.rows_per_second > 0
        assert found.cost > 0
        request.spec.options.window.FromSeconds(1)
        found = await stub.EstimateScoringJob(request, timeout=60)
        assert not found.fits_window
        assert not (await stub.ListScoringJobs(pb.ListScoringJobsRequest(), timeout=10)).jobs
    assert scoring.objects(f"s3://{scoring.s3.bucket}/scored") == {}


@pytest.mark.long
async def test_a_job_that_misses_its_window_says_so_once_and_tells_webhooks(scoring: ScorerRig):
    scoring.put("in/a.parquet", parquet(features(20_000)))
    spec = scoring.spec()
    spec.options.window.CopyFrom(duration_pb2.Duration(nanos=1000))
    allowed = {"SCORER_WEBHOOK_ALLOW": ALLOWED, "SCORER_LINEAGE_URL": "http://127.0.0.1:9/lineage"}
    async with Receiver.started() as receiver, scorer(scoring, allowed) as (_, stub):
        hook = Webhook(name="scoringWebhooks/team", url=receiver.url(), secret=SECRET, model=MODEL)
        await stub.PutScoringWebhook(pb.PutScoringWebhookRequest(webhook=hook), timeout=10)
        job = await created(stub, spec)

        async def late() -> list[pb.ScoringJobEvent]:
            request = pb.ListScoringJobEventsRequest(parent=job.name)
            events = (await stub.ListScoringJobEvents(request, timeout=10)).events
            return [event for event in events if event.type == "late"]

        (event,) = await eventually(late, within=60)
        assert "after its window" in event.reason
        assert (await stub.GetScoringJob(pb.GetScoringJobRequest(name=job.name), timeout=10)).job.late
        await eventually(lambda: len(receiver.received) == 2, within=60)
        late_one, ended = (one.json for one in receiver.received)
        assert (late_one["type"], late_one["subject"]) == ("headrace.scoring.late", job.name)
        assert (late_one["data"]["late"], late_one["data"]["reason"]) == (True, event.reason)
        assert (ended["type"], ended["data"]["rows_done"]) == ("headrace.scoring.succeeded", 20_000)
        # Who collects lineage is no webhook of people, and none of them can have its name.
        listed = (await stub.ListScoringWebhooks(pb.ListScoringWebhooksRequest(), timeout=10)).webhooks
        assert [(one.name, one.secret, one.last_error) for one in listed] == [("scoringWebhooks/team", "", "")]
        hook.name = "scoringWebhooks/.lineage"
        taken = stub.PutScoringWebhook(pb.PutScoringWebhookRequest(webhook=hook), timeout=10)
        assert (await refused(taken)).code is Code.INVALID_ARGUMENT


def busy_s() -> float:
    """Return the processor seconds that the machine has worked."""
    times = psutil.cpu_times()
    return times.user + times.system + times.nice


def own_s(pid: int) -> float:
    """Return the processor seconds of a process, and of those of its children that have ended."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_an_estimate_of_more_than_a_minute_is_right_to_a_fifth_and_a_window_that_is_too_short_is_said_early(
    scoring: ScorerRig,
):
    model = slow(150)
    register(scoring, "v2", model)
    (name,) = (spec.name for spec in model.contract.inputs)
    how: dict[str, Any] = {
        "version": "v2",
        "tensors": [pb.ScoringSpec.TensorColumns(tensor=name, columns=["x0", "x1", "x2", "x3"])],
        "options": pb.ScoringOptions(shard_rows=1000, batch_rows=100),
    }

    def write(prefix: str, rows: int) -> pb.ScoringSpec:
        for at in range(10):
            scoring.put(f"{prefix}/{at}.parquet", parquet(features(rows // 10, seed=at), group_rows=1000))
        return scoring.spec(prefix, **how)

    async with scorer(scoring) as (process, stub):

        async def estimated(spec: pb.ScoringSpec) -> Any:
            request = pb.EstimateScoringJobRequest(parent=f"models/{MODEL}", spec=spec)
            return await stub.EstimateScoringJob(request, timeout=120)

        rate = (await estimated(write("some", 20_000))).rows_per_second
        spec = write("many", int(rate * LONG_S))
        began, own = busy_s(), own_s(process.pid)
        found = await estimated(spec)
        told = found.duration.ToTimedelta().total_seconds()
        window_s = 0.6 * told
        spec.options.window.FromTimedelta(timedelta(seconds=window_s))
        job = await over(stub, (await created(stub, spec)).name, within=600)
        events = (await stub.ListScoringJobEvents(pb.ListScoringJobEventsRequest(parent=job.name), timeout=10)).events
        others_s = busy_s() - began - (own_s(process.pid) - own) - job.manifest.cpu_seconds
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    actual = job.manifest.duration.ToTimedelta().total_seconds()
    assert actual > 60
    used, wrong = job.manifest.cpu_seconds, abs(found.cpu_hours * 3600 - job.manifest.cpu_seconds)
    assert wrong <= WRONG_BESIDE_OTHERS * used, (found.cpu_hours * 3600, used)
    if others_s < QUIET * actual * (psutil.cpu_count() or 1):
        assert abs(told - actual) <= WRONG * actual, (told, actual)
    (late,) = (event for event in events if event.type == "late")
    said_s = (late.create_time.ToDatetime() - job.create_time.ToDatetime()).total_seconds()
    assert said_s < 0.75 * window_s, (said_s, window_s)
