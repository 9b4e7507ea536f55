"""`make bench-field`: Headrace beside the systems of its field, by one load generator, in one run on one machine.

Everyone serves the same ONNX recommender, on ONNX Runtime with one thread; each request is one row, and every answer is
checked. Each system is started, measured with one request in flight and with 8 connections x 32, and ended; then comes
the next one, and then the next round. Headrace is asked through its front door, with tokens and limits.

  make bench-field                                     every system, three rounds
  make bench-field BENCH="--only headrace kserve"      some of them; --list names them
  make bench-field BENCH="--rounds 1 --seconds 4"      a shorter look
  make bench-field BENCH=--write-docs                  every system, and the tables into docs/benchmarks.md

The first time it installs the others into .headrace/field and .headrace/mlserver-venv (0.8 GB). Headrace's stack is
started when it is not up, and left up; its model, benchmark-recommender, stays registered. The machine should have
nothing else to do. KServe's gRPC and Ray's HAProxy listen on every interface while they are measured. A system that
cannot be started is reported with the end of its log, and the others go on. Exit code 2: something was not measured.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from headrace_client import HeadraceError

from benchmarks.checkout import ROOT, BenchmarkError
from benchmarks.load.connection import WireError
from benchmarks.measures.figures import Figures, median_of
from benchmarks.measures.measuring import measure
from benchmarks.report import beside, document, tables
from benchmarks.systems import subject
from benchmarks.systems.field.contender import Contender
from benchmarks.systems.field.lineup import FIELD
from benchmarks.systems.starting import told

ROUNDS, SECONDS = 3, 8.0
SEED = 1
RESULTS = ROOT / ".headrace" / "bench"
NAMES = tuple(one.name for one in FIELD)


@dataclass(slots=True)
class Results:
    """What became of everyone. runs: by row. failures: why a system was not measured, by its name."""

    runs: dict[str, list[Figures]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def main() -> None:
    options = _options()
    if options.list:
        print("\n".join(f"{one.name:12}{one.title}" for one in FIELD))
        return
    # A signal ends the systems that we started too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = [one for one in FIELD if not options.only or one.name in options.only]
    seen = Results()
    with subject.scratch() as name:
        model = subject.make_model(Path(name))
        for number in range(options.rounds):
            for contender in chosen:
                if contender.name not in seen.failures:
                    told(f"[round {number + 1} of {options.rounds}] starting {contender.title}")
                    _measured(contender, model, options.seconds, options.seed + number, seen)
    _tell(chosen, seen, options)
    sys.exit(2 if seen.failures else 0)


def _measured(contender: Contender, model: subject.Model, seconds: float, seed: int, seen: Results) -> None:
    """Measure the rows of a system once. Any error counts as a failure of that system only."""
    # A short path: sockets of Ray and HAProxy lie in it.
    with tempfile.TemporaryDirectory(prefix="field-", ignore_cleanup_errors=True) as folder:
        try:
            with contender.running(Path(folder), model) as system:
                for row in contender.scenarios():
                    figures = measure(system, row, seconds=seconds, seed=seed)
                    seen.runs.setdefault(row.name, []).append(figures)
                    wrong = f"  NOT RIGHT: {figures.errors:,}" if figures.errors else ""
                    told(
                        f"  {row.name:22}{figures.requests_per_s:>9,.0f}/s  p50 {figures.p50_ms:.2f} ms"
                        f"  p99 {figures.p99_ms:.2f} ms  {figures.served_us:,.0f} µs each{wrong}"
                    )
        except (BenchmarkError, WireError, HeadraceError, OSError, subprocess.CalledProcessError) as error:
            seen.failures[contender.name] = why = _why(error, Path(folder))
            told(f"bench-field: {contender.title}: {why}")


def _why(error: Exception, folder: Path) -> str:
    """Return what went wrong, with what the system last said."""
    if isinstance(error, BenchmarkError):  # which says it already
        return str(error)
    logs = "".join(log.read_text(errors="replace")[-2000:] for log in sorted(folder.glob("*.log")))
    return f"{error}\n{logs}"


def _tell(chosen: Sequence[Contender], seen: Results, options: argparse.Namespace) -> None:
    """Print and write everything."""
    medians = {name: median_of(several) for name, several in seen.runs.items()}
    entries = [
        beside.Entry(one.title, one.scenarios(), one.how, one.versions(), seen.failures.get(one.name, ""))
        for one in chosen
    ]
    runs_each = "one run" if options.rounds == 1 else f"medians of {options.rounds} runs"
    about = tables.conditions(f"{runs_each} of {options.seconds:g} s for each row")
    print(beside.text(entries, medians))
    folder: Path = options.results
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "conditions": about,
        "command": _command(),
        "systems": {one.name: {"versions": one.versions(), "configuration": one.how} for one in chosen},
        "rows": {name: [asdict(one) for one in several] for name, several in seen.runs.items()},
        "failures": seen.failures,
    }
    (folder / "field.json").write_text(json.dumps(written, indent=1) + "\n")
    print(f"\nevery run is in {folder / 'field.json'}")
    if options.write_docs:
        document.fill("field", beside.markdown(about, _command(), entries, medians))
        print(f"the tables are in {document.DOCUMENT}")


def _command() -> str:
    told_us = shlex.join(sys.argv[1:])
    return f'make bench-field BENCH="{told_us}"' if told_us else "make bench-field"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-field", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help="systems to measure")
    parser.add_argument("--list", action="store_true", help="name the systems and end")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each is measured (default {ROUNDS})")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"length of one measurement (default {SECONDS:g})"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the workload; every round takes the next one")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for field.json")
    parser.add_argument("--write-docs", action="store_true", help="also put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    if options.only and options.write_docs:
        parser.error("the tables in docs/ are of all systems, in one run: --write-docs goes without --only")
    return options


if __name__ == "__main__":
    main()
