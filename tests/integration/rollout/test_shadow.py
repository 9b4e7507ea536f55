"""A shadow is judged by what the monitor's report says of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc
from headrace_monitor.judge.shadow.decisions.comparisons import Comparison, SliceCounts
from headrace_monitor.judge.shadow.store import Comparisons, VersionPair
from headrace_monitor.storage.schema import Database
from headrace_rollout.alerts import FreezeAlerts
from headrace_rollout.decisions.rollouts import Decision, Rollout, State
from headrace_rollout.decisions.shadow_record import READ_EVERY
from headrace_rollout.judge import Judge
from headrace_rollout.surroundings import Judged
from headrace_servicekit import client
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import free_port
from headrace_statistics.proportions import Proportion

from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry
from tests.kit.rollout.rollouts import MINUTE, SHADOW, rollout


class Shadowed:
    """A rollout that has been a shadow since it was made, and the judge of it. now: as the rollout service has it."""

    def __init__(self, database: Database, now: datetime) -> None:
        self._comparisons, self.now = Comparisons(database), now
        self._rollout = rollout(SHADOW, state=State.SHADOWING, step_time=now)

    async def begin(self, judge: Judge) -> None:
        self._rollout = self._with(await judge.begin(self._rollout, self.now))

    async def judged(self, judge: Judge, *, after: timedelta = READ_EVERY) -> Judged:
        self.now += after
        found = await judge.judge(self._rollout, self.now)
        self._rollout = self._with(found.evidence)
        return found

    async def compared(self, pairs: int, flips: int = 0) -> None:
        """Have the monitor compare pairs, one row each, half of them in Austria; those that differ are there."""
        found = Comparison(
            pairs=pairs,
            rows=pairs,
            flips=Proportion(flips, pairs),
            slices={"country=AT": SliceCounts(pairs // 2, flips), "country=DE": SliceCounts(pairs // 2, 0)},
        )
        hour = SystemClock().now().replace(minute=0, second=0, microsecond=0)
        await self._comparisons.add({VersionPair("digits", "v1", "v2"): found}, hour)

    def _with(self, evidence: str) -> Rollout:
        return rollout(SHADOW, state=State.SHADOWING, step_time=self._rollout.step_time, evidence=evidence)


def judge_of(channel: Any) -> Judge:
    """Return the judge that asks a monitor."""
    clock = SystemClock()
    return Judge(channel, FreezeAlerts(channel, clock))


async def test_a_shadow_is_judged_by_the_monitors_report_of_pairs_since_it_began(postgres_url, s3, tmp_path):
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target) as monitor,
        Database(Address(postgres_url), size=2) as database,
        client.channel(f"127.0.0.1:{free_port()}") as nowhere,
    ):
        await database.migrate()
        judge = judge_of(monitor.channel)
        shadowed = Shadowed(database, SystemClock().now())
        # Of a shadow of the same versions an hour's part ago, which was bad.
        await shadowed.compared(500, flips=250)
        await shadowed.begin(judge)
        first = await shadowed.judged(judge)
        assert first.verdict is not None
        assert (first.verdict.decision, first.bad_from) == (Decision.HOLD, None)
        assert "0 of at least 100 pairs compared" in first.verdict.reason

        await shadowed.compared(99)
        held = await shadowed.judged(judge, after=MINUTE)
        assert held.verdict is not None
        assert (held.verdict.decision, "99 of at least 100" in held.verdict.reason) == (Decision.HOLD, True)
        await shadowed.compared(101)
        between = await shadowed.judged(judge, after=timedelta(seconds=1))
        assert between.evidence == held.evidence, "a report is not read each second"
        passed = await shadowed.judged(judge)
        assert passed.verdict is not None
        assert (passed.verdict.decision, "200 pairs" in passed.verdict.reason) == (Decision.ADVANCE, True)

        silent = await shadowed.judged(judge_of(nowhere))
        assert silent.verdict is not None
        assert (silent.verdict.decision, silent.evidence) == (Decision.NO_DATA, passed.evidence)

        await shadowed.compared(100, flips=30)
        failed = await shadowed.judged(judge)
        assert failed.verdict is not None
        assert failed.verdict.decision is Decision.ROLL_BACK
        assert "30 of 300 labels differ (10 %, at most 0.5 %)" in failed.verdict.reason

        stub: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)
        for version, code in (("v0", 2), ("v1", 13)):
            pair = telemetry_pb2.ShadowPair(
                model="digits", version=version, shadow_version="v2", prediction_id="p-1", rows=1, shadow_code=code
            )
            await stub.ReportShadowPairs(telemetry_pb2.ReportShadowPairsRequest(pairs=[pair]), timeout=10)
        erring = await shadowed.judged(judge)
        assert erring.verdict is not None
        assert "had none: 1 (INTERNAL 1)" in erring.verdict.reason, "what other versions' copies got is theirs"
