"""Analyse an experiment of many units: `python -m benchmarks.experiments [--units N]`. One thread, bounded memory.

As AnalyseExperiment does it, in the process that does it: the first time, which reads the whole log; again, when
nothing has come; and after one unit in a hundred is new, one has answered again, and one outcome in a hundred is new
or corrected. Beside it one query over the whole log, as `analyse --by` asks it. Ten metrics: five binary, five means;
one prediction and one outcome for each unit. The network and the outcomes' way out of PostgreSQL are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
from headrace_monitor.judge.experiments.decisions import unit_table
from headrace_monitor.judge.experiments.decisions.definitions import Definition, Experiment, Metric, started
from headrace_monitor.judge.experiments.decisions.moments import moments_sql
from headrace_monitor.judge.experiments.decisions.selection import from_log, read_range
from headrace_monitor.judge.experiments.decisions.tally import rows_of
from headrace_monitor.judge.experiments.decisions.verdicts import verdict
from headrace_monitor.record.query.process import Limits, QueryProcess, Sources
from headrace_statistics.experiments.design import Kind, Role

START = datetime(2031, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=30)
KINDS = [Kind.BINARY, Kind.MEAN] * 5
ENGINE = "headrace_monitor.judge.experiments.unit_engine"
MAX_ROWS = 100_000
FILE_ROWS = 1_000_000


def main() -> None:
    """Print seconds and memory of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--units", type=int, default=10_000_000)
    parser.add_argument("--memory-mb", type=int, default=256, help="MONITOR_QUERY_MEMORY_BYTES, in MiB.")
    parser.add_argument("--disk-gb", type=float, default=8, help="MONITOR_EXPERIMENTS_BYTES, in GiB.")
    parser.add_argument("--only", choices=["kept", "log"], help="One of the two.")
    given = parser.parse_args()
    limits = Limits(given.memory_mb * 2**20, 1, 3600.0, 2**29, int(given.disk_gb * 2**30))
    asyncio.run(_compare(given.units, limits, given.only))


async def _compare(units: int, limits: Limits, only: str | None) -> None:
    metrics = tuple(
        Metric(f"m{at}", kind, Role.SUCCESS if at == 0 else Role.QUALITY, f"m{at}") for at, kind in enumerate(KINDS)
    )
    definition = Definition("", {"control": 1.0, "new": 1.0}, metrics, planned_units=units)
    experiment = started(Experiment("shop", "one", definition, "ada", START), START)
    with tempfile.TemporaryDirectory() as name:
        folder, more = Path(name), units // 100
        log, outcomes = _log(folder, 0, units), _outcomes(folder, "first", 0, units, 0)
        if only != "log":
            first = await _kept(experiment, limits, folder, log, outcomes, fresh=True)
            _told("first analysis", units, first)
            nothing = folder / "nothing.csv"
            nothing.touch()
            _told("again", units, await _kept(experiment, limits, folder, [], nothing))
            new = [*_log(folder, units, units + more), *_log(folder, 0, more, again=units + more)]
            changed = _outcomes(folder, "changed", units - more // 2, units + more // 2, 3)
            _told("after 1 % more", units + more, await _kept(experiment, limits, folder, new, changed))
            print(f"kept on disk: {_size(folder) / 2**20:,.0f} MiB", flush=True)
        if only != "kept":
            _told("one query over the log", units, await _whole(experiment, limits, folder, log, outcomes))


class Measured:
    """What a process took. units: that it found."""

    def __init__(self) -> None:
        self._began, self._used = time.perf_counter(), _children_s()
        self.took_s = self.used_s = self.peak_mib = 0.0
        self.units, self.state = 0, ""

    def end(self, experiment: Experiment, arrow: bytes) -> Measured:
        columns = pyarrow.ipc.open_stream(arrow).read_all().columns
        rows = list(rows_of(zip(*(column.to_pylist() for column in columns), strict=True)))
        said = verdict(experiment, rows, NOW)
        self.took_s, self.used_s = time.perf_counter() - self._began, _children_s() - self._used
        self.peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        self.units, self.state = sum(said.assigned.values()), said.analysis.state
        return self


def _told(what: str, units: int, found: Measured) -> None:
    assert found.units == units, found.units
    print(
        f"{what}: {units:,} units and {len(KINDS)} metrics in {found.took_s:.1f} s ({found.used_s:.1f} s of a core), "
        f"no process so far above {found.peak_mib:,.0f} MiB; {found.state}",
        flush=True,
    )


async def _kept(
    experiment: Experiment, limits: Limits, folder: Path, log: Sequence[Path], outcomes: Path, *, fresh: bool = False
) -> Measured:
    table = unit_table.unit_table(experiment, read_range(experiment, NOW)[0])
    path = os.fspath(folder / "units.duckdb")
    job = {"path": path, "table": asdict(table), "sql": moments_sql(experiment), "max_rows": MAX_ROWS}
    measured, arrow = Measured(), b""
    async with QueryProcess.running(ENGINE, job, limits, folder) as process:
        assert ((await process.next_report())["watermark"] is None) == fresh
        await process.give({"fresh": fresh})
        for each in log:
            await process.give({"files": [os.fspath(each)]})
            await process.next_report()
        await process.give({"watermark": {"at": 1}, "outcomes": os.fspath(outcomes), "ended": False})
        await process.next_report()
        arrow = b"".join([piece async for piece in process.rows() if isinstance(piece, bytes)])
    return measured.end(experiment, arrow)


async def _whole(experiment: Experiment, limits: Limits, folder: Path, log: Sequence[Path], outcomes: Path) -> Measured:
    measured, sql = Measured(), from_log(experiment, moments_sql(experiment))
    async with QueryProcess.answering(sql, MAX_ROWS, limits, folder) as process:
        await process.reading()
        answer = process.answer(Sources(tuple(log), outcomes, None, None))
        arrow = b"".join([piece async for piece in answer if isinstance(piece, bytes)])
    return measured.end(experiment, arrow)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("units.duckdb*"))


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _made(path: Path, select: str, options: str) -> Path:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'; set memory_limit = '512MB'")
        connection.execute(f"copy ({select}) to '{path}' ({options})")
    return path


_MILLISECONDS = f"({int(START.timestamp() * 1000)} + n * 60)"
_RANDOM = "hash(n) % 281474976710656"
_ID = f"format('{{:08x}}-{{:04x}}-7000-8000-{{:012x}}', {_MILLISECONDS} >> 16, {_MILLISECONDS} & 65535, {_RANDOM})"
_TIME = "timestamptz '2031-01-01' + to_milliseconds(n * 60)"


def _log(folder: Path, first: int, end: int, again: int | None = None) -> list[Path]:
    """Write the answers to units; again: the number of the first one, where units have answered before."""
    made: list[Path] = []
    for begin in range(first, end, FILE_ROWS):
        until = min(begin + FILE_ROWS, end)
        shift = 0 if again is None else again - first
        select: Any = f"""select {_ID} as prediction_id, 0 as row, 'shop' as model, 'user-' || (n - {shift}) as unit,
            if(hash(n - {shift}) % 2 = 0, 'control', 'new') as variant, {_TIME} as answer_time, 7 as generation,
            null::map(varchar, varchar) as attributes from range({begin + shift}, {until + shift}) as numbers(n)"""
        made.append(_made(folder / f"log-{begin + shift}.parquet", select, "format parquet"))
    return made


def _outcomes(folder: Path, name: str, first: int, end: int, add: int) -> Path:
    select = f"""select {_ID}, 0, 'shop', 'm' || (n % 10), 1.0 + (hash(n) % 7) + {add}, null,
        ({_TIME} + interval 1 hour)::varchar, ({_TIME} + interval 1 hour)::varchar
        from range({first}, {end}) as numbers(n)"""
    return _made(folder / f"{name}.csv", select, "format csv, header false")


if __name__ == "__main__":
    main()
