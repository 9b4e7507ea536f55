"""The judge: reads from the monitor what both versions answered, and says what follows."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import grpc.aio
import structlog
from headrace.monitor.v1 import evidence_pb2, evidence_pb2_grpc, monitor_pb2, monitor_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import ServiceError

from headrace_rollout.alerts import FreezeAlerts
from headrace_rollout.decisions import history, judgement, routes, shadow_record
from headrace_rollout.decisions.counts import Arms, Count, Counts
from headrace_rollout.decisions.observation import Surroundings
from headrace_rollout.decisions.rollouts import Rollout, State
from headrace_rollout.decisions.shadow_record import Labels, Pairs
from headrace_rollout.documents import record_json, record_of, shadow_record_json, shadow_record_of
from headrace_rollout.peers import answered
from headrace_rollout.surroundings import Judged

# Reports are of whole hours by the monitor's clock, which may be behind.
BEFORE = timedelta(hours=2)
log = structlog.get_logger()
READ_S, HISTORY_S = 3.0, 10.0
_ONLINE = predict_pb2.PredictResponse.SERVED_FROM_ONLINE


class Judge:
    """Judges rollouts on the monitor's counts."""

    def __init__(self, channel: Any, alerts: FreezeAlerts) -> None:
        self._stub = evidence_pb2_grpc.EvidenceServiceStub(channel)
        self._shadows = monitor_pb2_grpc.MonitorServiceStub(channel)
        self._alerts = alerts

    async def begin(self, rollout: Rollout, now: datetime) -> str:
        """Return the evidence before the first request of the version. Raises what the monitor answers."""
        if not rollout.judged:
            return ""
        if rollout.state is State.SHADOWING:
            return shadow_record_json(shadow_record.begin(await self._pairs(rollout, now), now))
        response = await self._read(rollout, b"")
        past = await self._past(rollout)
        return record_json(judgement.begin(rollout.policy, _text(response.cursor), now, past))

    async def judge(self, rollout: Rollout, now: datetime) -> Judged:
        """Take in what was answered since."""
        if not rollout.judged or rollout.step_time is None:
            return Judged(rollout.evidence, None, None)
        if rollout.state is State.SHADOWING:
            return await self._judge_shadow(rollout, rollout.step_time, now)
        record, policy, step = record_of(rollout.evidence), rollout.policy, rollout.step
        try:
            response = await self._read(rollout, base64.b64decode(record.cursor))
        except ServiceError as error:
            # The verdict says since when nothing is known.
            log.warning("no evidence", rollout=rollout.name, reason=error.public_message)
        else:
            arms = Arms(
                candidate=(rollout.version, routes.VARIANT),
                baseline=(rollout.baseline, rollout.variant),
                alone=rollout.share == 1,
                share=rollout.share,
            )
            counts = _counts(response, now)
            record = judgement.taken(record, policy, arms, counts, _text(response.cursor), step, rollout.step_time)
        verdict = judgement.verdict(record, policy, step, rollout.step_time, now)
        return Judged(record_json(record), verdict, record.bad_from.get(verdict.metric))

    async def _judge_shadow(self, rollout: Rollout, step_time: datetime, now: datetime) -> Judged:
        record, shadow = shadow_record_of(rollout.evidence), rollout.policy.shadow
        assert shadow is not None, "only a policy with a shadow leads there"
        if shadow_record.due(record, now):
            try:
                pairs = await self._pairs(rollout, record.begin_time)
            except ServiceError as error:
                log.warning("no report of a shadow", rollout=rollout.name, reason=error.public_message)
                return Judged(rollout.evidence, shadow_record.silent(error.public_message, now), None)
            record = shadow_record.taken(record, pairs, now)
        return Judged(shadow_record_json(record), shadow_record.verdict(record, shadow, step_time, now), None)

    def surroundings(self, model: str) -> Surroundings:
        """Return what may keep a model's rollouts from growing."""
        return self._alerts.surroundings(model)

    async def _past(self, rollout: Rollout) -> Sequence[Sequence[Count]]:
        """Return the baseline's counts of the last hour; empty from a monitor without history.

        Raises the monitor's error: a judgement that starts without history lacks it to the end.
        """
        request = evidence_pb2.ReadHistoryRequest(
            model=rollout.model,
            version=rollout.baseline,
            variant=rollout.variant,
            block_minutes=history.BLOCK_MINUTES,
            blocks=history.BLOCKS,
        )
        try:
            blocks = (await self._stub.ReadHistory(request, timeout=HISTORY_S)).blocks
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise from_rpc_error(error) from None
            log.warning("no history", rollout=rollout.name, reason=error.details())
            return ()
        return [_online_counts(block.counts) for block in blocks]

    async def _pairs(self, rollout: Rollout, since: datetime) -> Pairs:
        """Return the pairs of both versions since a time, and of hours before. Raises what the monitor answers."""
        request = monitor_pb2.GetShadowReportRequest(parent=f"models/{rollout.model}", shadow_version=rollout.version)
        request.range.start_time.FromDatetime(since - BEFORE)
        report = await answered(self._shadows.GetShadowReport(request, timeout=READ_S))
        return next((_pairs(one) for one in report.comparisons if one.version == rollout.baseline), Pairs())

    async def _read(self, rollout: Rollout, cursor: bytes) -> evidence_pb2.ReadCountsResponse:
        request = evidence_pb2.ReadCountsRequest(model=rollout.model, cursor=cursor)
        try:
            return await self._stub.ReadCounts(request, timeout=READ_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None


def _counts(response: evidence_pb2.ReadCountsResponse, now: datetime) -> Counts:
    return Counts(
        time=now,
        elapsed=response.elapsed.ToTimedelta() if response.HasField("elapsed") else timedelta(),
        counts=_online_counts(response.counts),
        missing=tuple(one.data_plane for one in response.missing),
        erring_units={(one.version, one.variant): one.new_units for one in response.erring_units},
        refused_units={(one.version, one.variant): one.new_units for one in response.refused_units},
        units={(one.version, one.variant): one.units for one in response.units},
    )


def _online_counts(counts: Iterable[evidence_pb2.ReadCountsResponse.Counts]) -> tuple[Count, ...]:
    return tuple(_count(one) for one in counts if one.priority == 0)


def _count(one: evidence_pb2.ReadCountsResponse.Counts) -> Count:
    return Count(
        version=one.version,
        variant=one.variant,
        online=one.served_from == _ONLINE,
        code=one.code,
        count=one.count,
        invalid=one.invalid,
        degraded=one.degraded,
        first_bucket=one.first_bucket,
        durations=tuple(one.duration_counts),
    )


def _text(cursor: bytes) -> str:
    return base64.b64encode(cursor).decode()


def _pairs(one: monitor_pb2.ShadowComparison) -> Pairs:
    return Pairs(
        compared=one.pairs - one.unlike,
        unlike=one.unlike,
        errors=dict(one.errors),
        nan_rows=one.nan_rows,
        labels=Labels(one.labelled_rows, one.flips, one.flips_squared),
        slices={slice_.name: Labels(slice_.rows, slice_.flips, slice_.flips_squared) for slice_ in one.slices},
    )
