"""Take pairs of answers: compare them by their contracts, and add them to their hour."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from headrace.telemetry.v1 import telemetry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.resource_names import shown

from headrace_monitor.judge.shadow.decisions.answer_pairs import compare
from headrace_monitor.judge.shadow.decisions.comparisons import Comparison
from headrace_monitor.judge.shadow.store import Comparisons, VersionPair
from headrace_monitor.record.log.contracts import ContractSource

MAX_PAIRS = 4096
MAX_NAME_CHARS = 128
MAX_ROWS = 1_000_000


class PairIntake:
    """Accepts answer pairs; safe in several replicas at once."""

    def __init__(self, contracts: ContractSource, comparisons: Comparisons, clock: Clock) -> None:
        self._contracts, self._comparisons, self._clock = contracts, comparisons, clock

    async def take(self, request: telemetry_pb2.ReportShadowPairsRequest) -> None:
        """Compare pairs. Raises InvalidArgument that names every field at fault, and Unavailable."""
        _check(request.pairs)
        by_versions: dict[VersionPair, list[telemetry_pb2.ShadowPair]] = {}
        for pair in request.pairs:
            by_versions.setdefault(VersionPair(pair.model, pair.version, pair.shadow_version), []).append(pair)
        found: dict[VersionPair, Comparison] = {}
        for versions, pairs in by_versions.items():
            contracts = [
                await self._contracts.get(versions.model, version)
                for version in (versions.version, versions.shadow_version)
            ]
            mine, other = (tensor_pb2.ServingContract() if one is None else one.contract for one in contracts)
            found[versions] = await asyncio.to_thread(compare, pairs, mine, other)
        if found:
            hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
            await self._comparisons.add(found, hour)


def _check(pairs: Sequence[telemetry_pb2.ShadowPair]) -> None:
    found: list[FieldViolation] = []
    if len(pairs) > MAX_PAIRS:
        refuse([FieldViolation("pairs", f"{len(pairs)} pairs; at most {MAX_PAIRS}: send the others next")])
    for index, pair in enumerate(pairs):
        place = f"pairs[{index}]"
        for name in ("model", "version", "shadow_version", "prediction_id"):
            text = getattr(pair, name)
            if not text or len(text) > MAX_NAME_CHARS or not text.isprintable():
                wrong = f"{shown(text)} is not 1 to {MAX_NAME_CHARS} printable characters"
                found.append(FieldViolation(f"{place}.{name}", wrong))
        if not 1 <= pair.rows <= MAX_ROWS:
            found.append(FieldViolation(f"{place}.rows", f"{pair.rows} is not 1 to {MAX_ROWS:,}"))
        numbers = {name: getattr(pair, name) for name in ("took_us", "shadow_took_us", "shadow_code")}
        found += [FieldViolation(f"{place}.{name}", f"{n} is below 0") for name, n in numbers.items() if n < 0]
    refuse(found)
