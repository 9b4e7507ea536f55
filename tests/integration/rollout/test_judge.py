"""A version that serves alone is judged by what a real monitor counted of the version before in the last hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from headrace.monitor.v1 import evidence_pb2, evidence_pb2_grpc, ingest_pb2_grpc
from headrace_monitor.storage.schema import Database
from headrace_rollout.alerts import FreezeAlerts
from headrace_rollout.decisions import routing
from headrace_rollout.decisions.policies import Policy, Step, Strategy
from headrace_rollout.decisions.rollouts import Decision, State
from headrace_rollout.documents import record_of
from headrace_rollout.judging import Judge
from headrace_servicekit.client import channel
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import serving

from tests.kit.counting import CountingPlane, key
from tests.kit.monitor import real_monitor
from tests.kit.registry import memory_registry
from tests.kit.rollouts import MINUTE, rollout

SWITCH = Policy(Strategy.BLUE_GREEN, (Step(1.0, MINUTE),))
BEFORE = key("digits")._replace(version="v1", variant="production")
AFTER = BEFORE._replace(version="v2", variant=routing.VARIANT)


async def test_a_switch_is_held_against_the_hour_before_it(postgres_url, s3, tmp_path):
    clock = SystemClock()
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target) as monitor,
        Database(Address(postgres_url), size=1) as database,
    ):
        await database.migrate()
        counting: Any = ingest_pb2_grpc.IngestServiceStub(monitor.channel)
        judge = Judge(monitor.channel, FreezeAlerts(monitor.channel, clock))
        plane = CountingPlane()
        plane.answer(BEFORE, 0.01, 6_000)
        plane.answer(BEFORE._replace(priority=2), 9.0, 6_000)  # copies for a shadow have all the time
        await counting.ReportCounters(plane.report(), timeout=10)
        async with database.transaction() as connection:
            await connection.execute("update counter_series set minute = minute - interval '9 min'")

        begun = rollout(SWITCH, state=State.RUNNING, step=0, share=1.0, step_time=clock.now())
        begun = replace(begun, evidence=await judge.begin(begun, clock.now()))
        record = record_of(begun.evidence)
        assert record.history_rps == 6_000 / 300
        assert record.slow_bucket is not None
        assert 0.014 < 2.0 ** (record.slow_bucket / 64 - 20) < 0.017, "half as long again as before"

        plane.answer(AFTER, 0.01, 400)
        report = plane.report()
        (new,) = [one for one in report.series if one.version == "v2"]
        new.invalid = 40
        await counting.ReportCounters(report, timeout=10)
        found = await judge.judge(begun, clock.now() + timedelta(seconds=1))
        assert found.verdict is not None
        assert found.verdict.decision is Decision.ROLL_BACK
        assert "invalid_outputs: 40 of 400" in found.verdict.reason
        assert "baseline 0 of 6,000" in found.verdict.reason


async def test_a_monitor_that_tells_no_history_holds_no_rollout_up():
    class Older(evidence_pb2_grpc.EvidenceServiceServicer):
        async def ReadCounts(self, request: Any, context: Any) -> evidence_pb2.ReadCountsResponse:
            return evidence_pb2.ReadCountsResponse(cursor=b"c")

    clock = SystemClock()
    async with (
        serving(lambda server: evidence_pb2_grpc.add_EvidenceServiceServicer_to_server(Older(), server)) as server,
        channel(server.address) as opened,
    ):
        judge = Judge(opened, FreezeAlerts(opened, clock))
        evidence = await judge.begin(rollout(SWITCH), clock.now())
    assert record_of(evidence).history_rps is None
