"""A version that serves alone is judged by what a real monitor counted of the version before in the last hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from headrace.monitor.v1 import evidence_pb2, evidence_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace.telemetry.v1 import telemetry_pb2_grpc
from headrace_monitor.storage.schema import Database
from headrace_rollout.alerts import FreezeAlerts
from headrace_rollout.decisions import routes
from headrace_rollout.decisions.policies import Policy, Step, Strategy
from headrace_rollout.decisions.rollouts import Decision, State
from headrace_rollout.documents import record_of
from headrace_rollout.judge import Judge
from headrace_servicekit.client import channel
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import serving

from tests.kit.monitor.counting_plane import CountingPlane, key
from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry
from tests.kit.rollout.rollouts import CANARY, MINUTE, rollout

SWITCH = Policy(Strategy.BLUE_GREEN, (Step(1.0, MINUTE),))
BEFORE = key("digits")._replace(version="v1", variant="production")
AFTER = BEFORE._replace(version="v2", variant=routes.VARIANT)


async def test_a_switch_is_held_against_the_hour_before_it(postgres_url, s3, tmp_path):
    clock = SystemClock()
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target) as monitor,
        Database(Address(postgres_url), size=1) as database,
    ):
        await database.migrate()
        counting: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)
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


async def test_units_that_erred_in_the_rollout_before_hide_none_of_this_one():
    class Failing(evidence_pb2_grpc.EvidenceServiceServicer):
        async def ReadCounts(self, request: Any, context: Any) -> evidence_pb2.ReadCountsResponse:
            response = evidence_pb2.ReadCountsResponse(cursor=b"c")
            response.elapsed.FromSeconds(1)
            online = predict_pb2.PredictResponse.SERVED_FROM_ONLINE
            for version, variant, code, count in (
                ("v10", "rollout", 14, 50),
                ("v10", "rollout", 0, 50),
                ("v1", "production", 0, 900),
            ):
                response.counts.add(version=version, variant=variant, code=code, count=count, served_from=online)
            response.erring_units.add(version="v10", variant="rollout", units=500, new_units=50)
            response.erring_units.add(version="v9", variant="rollout", units=500, new_units=0)
            return response

    async with (
        serving(lambda server: evidence_pb2_grpc.add_EvidenceServiceServicer_to_server(Failing(), server)) as server,
        channel(server.address) as opened,
    ):
        clock = SystemClock()
        judge = Judge(opened, FreezeAlerts(opened, clock))
        sticky = replace(CANARY, sticky=True)
        one = rollout(
            sticky, version="v10", baseline="v1", state=State.RUNNING, step=0, share=0.1, step_time=clock.now()
        )
        one = replace(one, evidence=await judge.begin(one, clock.now()))
        decisions = []
        for second in range(1, 11):
            found = await judge.judge(one, clock.now() + timedelta(seconds=second))
            one = replace(one, evidence=found.evidence)
            assert found.verdict is not None
            decisions.append(found.verdict.decision)
        assert decisions[-1] is Decision.ROLL_BACK


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


async def test_a_monitor_that_does_not_answer_what_was_keeps_a_rollout_from_its_first_request():
    class Away(evidence_pb2_grpc.EvidenceServiceServicer):
        async def ReadCounts(self, request: Any, context: Any) -> evidence_pb2.ReadCountsResponse:
            return evidence_pb2.ReadCountsResponse(cursor=b"c")

        async def ReadHistory(self, request: Any, context: Any) -> evidence_pb2.ReadHistoryResponse:
            raise Unavailable("the monitor has not reached its database yet", reason="DATABASE_UNAVAILABLE")

    clock = SystemClock()
    async with (
        serving(lambda server: evidence_pb2_grpc.add_EvidenceServiceServicer_to_server(Away(), server)) as server,
        channel(server.address) as opened,
    ):
        judge = Judge(opened, FreezeAlerts(opened, clock))
        with pytest.raises(Unavailable, match="database"):
            await judge.begin(rollout(SWITCH), clock.now())
