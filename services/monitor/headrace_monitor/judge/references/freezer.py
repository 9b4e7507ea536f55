"""Freeze references: from the artifact of a version, automatically or on request, or from a time range of the log."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import PreconditionFailed, ResourceExhausted, ServiceError, Unavailable
from headrace_servicekit.fair_share import FairShare, FairTurns, Pool
from headrace_statistics import serialization
from headrace_statistics.calibration import Calibration
from headrace_statistics.references import Source

from headrace_monitor.judge.references import artifacts
from headrace_monitor.judge.references.artifacts import REFERENCE, Blobs
from headrace_monitor.judge.references.columns import MonitoredColumn, monitored_columns
from headrace_monitor.judge.references.store import Content, Draft, References, StoredReference
from headrace_monitor.record.log.contracts import ContractSource, VersionContract, version_not_found

log = structlog.get_logger()

# Rows of the log before a reference was frozen that are summarised on it: a week for seasons, and a day of slack.
LOOK_BACK = timedelta(days=8)
# A version never gets another artifact; what failed for another reason may be better tomorrow.
AGAIN_AFTER = timedelta(days=1)
MIN_PREDICTIONS = 50
AT_ONCE = 20
MAX_WAITING = 8

Freeze = Callable[[Path, Sequence[MonitoredColumn], tensor_pb2.ServingContract], Awaitable[bytes | str]]
"""From a file, the columns that are judged and the contract to what was frozen, or why nothing was."""

Calibrate = Callable[[str, str, Calibration, datetime], Awaitable[None]]
"""Stores the calibration of a version's scores, unless labels of predictions have given one."""


@dataclass(frozen=True, slots=True)
class FreezeRequest:
    """A request to freeze a reference. range: of the log; None for the artifact."""

    model: str
    version: str
    range: tuple[datetime, datetime] | None = None
    seasonal: bool = False
    client: str = ""


class Freezer:
    """Freezes references. write_rows: writes rows of a time of the log to a Parquet file, and returns their number.

    calibrate: stores the calibration of a reference with labels.
    """

    def __init__(
        self,
        references: References,
        contracts: ContractSource,
        blobs: Blobs,
        freeze: Freeze,
        write_rows: Callable[..., Awaitable[int]],
        calibrate: Calibrate,
        clock: Clock,
    ) -> None:
        self._references, self._contracts, self._blobs = references, contracts, blobs
        self._freeze, self._write_rows, self._calibrate, self._clock = freeze, write_rows, calibrate, clock
        self._places = FairShare(Pool("freezes", MAX_WAITING, "TOO_MANY_FREEZES", retry_after_s=10.0))
        self._turns = FairTurns(1)

    async def freeze(self, asked: FreezeRequest, *, only_first: bool = False) -> StoredReference:
        """Freeze a reference and return it; the present one when that is the same, or `only_first` and there is one.

        Raises NotFound, reason VERSION_NOT_FOUND; PreconditionFailed, reason NO_REFERENCE_ARTIFACT,
        TOO_FEW_PREDICTIONS, or REFERENCE_UNREADABLE with what is wrong; ResourceExhausted, reason TOO_MANY_FREEZES;
        Unavailable.
        """
        with self._places.place():
            async with self._turns.turn():  # each has files and a process of its own
                return await self._frozen(asked, only_first=only_first)

    async def _frozen(self, asked: FreezeRequest, *, only_first: bool) -> StoredReference:
        version = await self._contracts.get(asked.model, asked.version)
        if version is None:
            raise version_not_found(asked.model, asked.version)
        with tempfile.TemporaryDirectory(prefix="headrace-reference-") as folder:
            file = Path(folder) / REFERENCE
            name = await self._written(asked, version, file)
            judged = monitored_columns(version)
            answer = await self._freeze(file, judged, version.contract)
        rows, content, calibration = await asyncio.to_thread(_understood, answer, judged, asked)
        now = self._clock.now()
        if isinstance(calibration, Calibration):
            await self._calibrate(asked.model, asked.version, calibration, now)
        elif calibration is not None:
            log.info("reference calibrates nothing", model=asked.model, version=asked.version, reason=str(calibration))
        draft = Draft(
            model=asked.model,
            version=asked.version,
            source=Source.ARTIFACT if asked.range is None else Source.WINDOW,
            name=name,
            seasonal=asked.seasonal,
            range=asked.range,
            rows=rows,
            content=content,
            since=(now - LOOK_BACK).replace(minute=0, second=0, microsecond=0),
            client=asked.client,
            at=now,
        )
        number = await self._references.add(draft, only_first=only_first)
        frozen = await (
            self._references.current(asked.model, asked.version) if number is None else self._references.get(number)
        )
        assert frozen is not None  # a reference is never removed
        log.info("reference frozen", model=asked.model, version=asked.version, source=draft.source.value, rows=rows)
        return frozen

    async def freeze_missing(self) -> None:
        """Freeze the artifacts of versions that have traffic and no reference yet. Raises Unavailable."""
        for model, version in await self._references.unreferenced(self._clock.now(), limit=AT_ONCE):
            try:
                await self.freeze(FreezeRequest(model, version), only_first=True)
            except ServiceError as error:
                # What is away is away for every version, and comes back. A damaged file is one version's, and may stay.
                if isinstance(error, Unavailable | ResourceExhausted) and error.reason != artifacts.DAMAGED:
                    raise
                log.info("version has no reference", model=model, version=version, reason=error.reason)
                await self._note(model, version, error.public_message)
            except Exception:
                # A defect of ours with one version must not keep every other one from its reference.
                log.exception("reference not frozen", model=model, version=version)
                await self._note(model, version, "it could not be frozen; the monitor's log says why")

    async def _note(self, model: str, version: str, problem: str) -> None:
        await self._references.note_attempt(model, version, problem, self._clock.now() + AGAIN_AFTER)

    async def _written(self, asked: FreezeRequest, version: VersionContract, file: Path) -> str:
        """Write what is to be frozen to a file, and return what the reference is called by."""
        if asked.range is None:
            artifact = artifacts.reference_of(version.message)
            if artifact is None:
                raise PreconditionFailed(
                    f"models/{asked.model}/versions/{asked.version} has no artifact {REFERENCE}: register a version "
                    "with one, or freeze a time of the log",
                    reason="NO_REFERENCE_ARTIFACT",
                )
            await artifacts.fetch(self._blobs, artifact, file)
            return artifact.sha256
        start, end = asked.range
        rows = await self._write_rows(version, start, end, file)
        if rows < MIN_PREDICTIONS:
            raise PreconditionFailed(
                f"the log has {rows} rows of models/{asked.model}/versions/{asked.version} between {start.isoformat()} "
                f"and {end.isoformat()}, and {MIN_PREDICTIONS} are needed: choose a longer time",
                reason="TOO_FEW_PREDICTIONS",
            )
        return f"{start.isoformat()}/{end.isoformat()}"


def _understood(
    answer: bytes | str, judged: tuple[MonitoredColumn, ...], asked: FreezeRequest
) -> tuple[int, Content, Any]:
    """Return rows and content of what was frozen, and what it says of scores.

    Raises PreconditionFailed for a file of which nothing can be.
    """
    if isinstance(answer, str):
        raise _unreadable(answer, asked)
    answered: dict[str, Any] = serialization.from_json(answer.decode())
    if "refused" in answered:
        raise _unreadable(answered["refused"], asked)
    if not answered["columns"]:
        shown = [f"{name} ({why})" for name, why in sorted(answered["unfit"].items())]
        more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
        raise _unreadable(f"no column can be judged: {', '.join(shown[:5])}{more}", asked)
    return answered["rows"], Content(answered["columns"], answered["unfit"], judged), answered["calibration"]


def _unreadable(why: str, asked: FreezeRequest) -> PreconditionFailed:
    source = REFERENCE if asked.range is None else "this time of the log"
    return PreconditionFailed(f"no reference from {source}: {why}", reason="REFERENCE_UNREADABLE")
