"""Analyse an experiment of many units: `python -m benchmarks.experiments [--units N]`. One thread, bounded memory.

Twice: from the log and the outcomes, as AnalyseExperiment does it (the network and the outcomes' way out of PostgreSQL
left out), and from one row for each unit, as `headrace experiments export` writes them. Ten metrics: five binary, five
means, of which each unit has one outcome each day in three.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from headrace_monitor.experiments.decisions.definitions import Definition, Experiment, Metric, started
from headrace_monitor.experiments.decisions.moments import moments_of_units, moments_sql
from headrace_monitor.experiments.decisions.tally import rows_of
from headrace_monitor.experiments.decisions.verdicts import verdict
from headrace_monitor.query.decisions.views import LABELLED
from headrace_statistics.experiments.design import Kind, Role

START = datetime(2031, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=30)
KINDS = [Kind.BINARY, Kind.MEAN] * 5


def main() -> None:
    """Print the seconds and the memory of both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--units", type=int, default=10_000_000)
    parser.add_argument("--memory", default="2GB", help="DuckDB's memory limit; it spills to disk beyond.")
    parser.add_argument("--only", choices=["log", "units"], help="One of the two.")
    given = parser.parse_args()
    metrics = tuple(
        Metric(f"m{at}", kind, Role.SUCCESS if at == 0 else Role.QUALITY, f"m{at}") for at, kind in enumerate(KINDS)
    )
    definition = Definition("", {"control": 1.0, "new": 1.0}, metrics, planned_units=given.units)
    experiment = started(Experiment("shop", "one", definition, "ada", START), START)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(
            f"set threads = 1; set memory_limit = '{given.memory}'; set temp_directory = '{folder}/spill'"
        )
        connection.execute("set timezone = 'UTC'; set preserve_insertion_order = false")
        if given.only != "units":
            _log(connection, Path(folder), given.units)
            _timed(connection, "from the log", experiment, given.units, moments_sql(experiment, NOW))
        if given.only != "log":
            _units(connection, Path(folder), given.units)
            sql = f"with {moments_of_units(experiment)}"
            _timed(connection, "from the units", experiment, given.units, sql)


def _timed(connection: duckdb.DuckDBPyConnection, what: str, experiment: Experiment, units: int, sql: str) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    columns = connection.execute(sql).to_arrow_table().columns
    rows = list(rows_of(zip(*(column.to_pylist() for column in columns), strict=True)))
    said = verdict(experiment, rows, NOW)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert sum(said.assigned.values()) == units, said.assigned
    print(
        f"{what}: {units:,} units and {len(KINDS)} metrics in {took:.1f} s ({used:.1f} s of a core), "
        f"at most {peak:,.0f} MiB; {said.analysis.state}",
        flush=True,
    )


def _log(connection: duckdb.DuckDBPyConnection, folder: Path, units: int) -> None:
    connection.execute(
        f"""copy (select 'p' || n as prediction_id, 0 as row, 'shop' as model, 'u' || n as unit,
        if(hash(n) % 2 = 0, 'control', 'new') as variant,
        timestamptz '2031-01-01' + to_milliseconds(n * 60) as answer_time, 7 as generation,
        null::map(varchar, varchar) as attributes
        from range({units}) as numbers(n)) to '{folder}/log.parquet'"""
    )
    connection.execute(
        f"""copy (select 'p' || n as prediction_id, 0 as row, 'shop' as model, 'm' || (n % 10) as kind,
        1.0 + (hash(n) % 7) as number, null::varchar as text,
        timestamptz '2031-01-01' + to_milliseconds(n * 60) + interval 1 hour as observe_time
        from range({units}) as numbers(n)) to '{folder}/outcomes.parquet'"""
    )
    connection.execute(f"create view predictions as from '{folder}/log.parquet'")
    connection.execute(f"create view outcomes as from '{folder}/outcomes.parquet'")
    connection.execute(LABELLED)


def _units(connection: duckdb.DuckDBPyConnection, folder: Path, units: int) -> None:
    values = ", ".join(
        f"(hash(n + {at}) % 10 = 0)::integer::double as y{at}, 1.0 as x{at}, 0.0 as c{at}"
        if kind is Kind.BINARY
        else f"(hash(n + {at}) % 1000)::double as y{at}, 1.0 as x{at}, 0.0 as c{at}"
        for at, kind in enumerate(KINDS)
    )
    connection.execute(
        f"""copy (select 'u' || n as unit, if(hash(n) % 2 = 0, 'control', 'new') as variant,
        timestamptz '2031-01-01' + to_milliseconds(n * 60) as first_time, 0 as phase, '' as slice_value, 1 as variants,
        {values} from range({units}) as numbers(n)) to '{folder}/units.parquet'"""
    )
    connection.execute(f"create view per_unit as from '{folder}/units.parquet'")


if __name__ == "__main__":
    main()
