"""`make bench`: the predict path of the running stack, and what else one would build, by one load generator.

Everything runs on this machine, the generator too. Rows are measured in turn, several times each, and their medians are
compared with the bars that docs/benchmarks.md explains. Then the load is raised until nothing more comes through.

  make bench                                     every row, about 15 minutes; the machine should have nothing else to do
  make bench BENCH="--only mixed gateway"        some rows; --list names them
  make bench BENCH=--quick                       short runs, once each: a look, no measurement
  make bench BENCH=--write-docs                  every row, and the tables and the plot into docs/

It starts and stops the references itself, and starts the stack when it is not up. Its model, benchmark-recommender,
stays registered. The row `service` restarts the stack, twice. Exit code 1: a bar was not reached; 2: something could
not be measured.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from headrace_client import HeadraceError

from benchmarks.checkout import ROOT, BenchmarkError
from benchmarks.load.connection import WireError
from benchmarks.measures import curve
from benchmarks.measures.bars import verdicts
from benchmarks.measures.figures import Figures, median_of
from benchmarks.measures.measuring import System, measure
from benchmarks.measures.scenarios import (
    FLOOR,
    GATEWAY,
    HEADRACE,
    ROUTES,
    SCENARIOS,
    SERVICE,
    TRITON,
    UNREPORTED,
    Scenario,
)
from benchmarks.report import document, tables
from benchmarks.report.plot import svg
from benchmarks.systems import starting

ROUNDS, SECONDS, CURVE_SECONDS = 3, 8.0, 4.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 2.0
SEED = 1
CURVE = "curve"
RESULTS = ROOT / ".headrace" / "bench"

# Systems that run at the same time: the last phase restarts the stack.
PHASES: tuple[tuple[Callable[[], AbstractContextManager[Mapping[str, System]]], tuple[str, ...]], ...] = (
    (starting.stack_and_references, (HEADRACE, UNREPORTED, FLOOR, TRITON, GATEWAY)),
    (starting.routes, tuple(ROUTES.values())),
    (starting.data_plane_apart, (SERVICE,)),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How everything is measured."""

    rounds: int
    seconds: float
    curve_seconds: float
    seed: int


@dataclass(slots=True)
class Progress:
    """Says after each measurement how far it is."""

    steps: int
    done: int = 0
    begun: float = field(default_factory=time.monotonic)

    def tell(self, scenario: Scenario, seen: Figures) -> None:
        """Print a line on a measurement."""
        self.done += 1
        left_s = (time.monotonic() - self.begun) / self.done * (self.steps - self.done)
        wrong = f"  NOT RIGHT: {seen.errors:,}" if seen.errors else ""
        starting.told(
            f"[{self.done}/{self.steps}, {left_s / 60:4.1f} min left] {scenario.name:20}{seen.requests_per_s:>9,.0f}/s"
            f"  p50 {seen.p50_ms:.2f} ms  p99 {seen.p99_ms:.2f} ms  {seen.cost_us:.0f} µs each{wrong}"
        )


def main() -> None:
    options = _options()
    if options.list:
        print("\n".join([f"{one.name:16}{one.title}" for one in SCENARIOS] + [f"{CURVE:16}latency against load"]))
        return
    plan = Plan(
        options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS),
        options.seconds or (QUICK_SECONDS if options.quick else SECONDS),
        min(CURVE_SECONDS, options.seconds or (QUICK_SECONDS if options.quick else SECONDS)),
        options.seed,
    )
    chosen = [one for one in SCENARIOS if not options.only or one.name in options.only]
    with_curve = not options.only or CURVE in options.only
    runs: dict[str, list[Figures]] = {}
    curves: list[curve.Curve] = []
    progress = Progress(plan.rounds * len(chosen) + (len(curve.DRAWN) * (1 + len(curve.SHARES)) if with_curve else 0))
    # A signal ends the systems that we started too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = False
    for start, names in PHASES:
        rows = [one for one in chosen if one.system in names]
        drawn = curve.DRAWN if with_curve and HEADRACE in names else ()
        if not rows and not drawn:
            continue
        try:
            with start() as known:
                runs |= _measured(known, rows, plan, progress)
                curves += [_curve(known, one, plan, progress) for one in drawn]
        except (BenchmarkError, WireError, HeadraceError, OSError) as error:
            # What has been measured is worth telling all the same.
            starting.told(f"bench: {', '.join(one.name for one in rows)}: {error}")
            failed = True
    enough = _tell(runs, curves, plan, options)
    sys.exit(2 if failed else 0 if enough else 1)


def _measured(
    known: Mapping[str, System], chosen: Sequence[Scenario], plan: Plan, progress: Progress
) -> dict[str, list[Figures]]:
    """Measure the scenarios round by round, so that a slow minute of the machine is not one scenario's."""
    runs: dict[str, list[Figures]] = {one.name: [] for one in chosen}
    for number in range(plan.rounds):
        for scenario in chosen:
            seen = measure(known[scenario.system], scenario, seconds=plan.seconds, seed=plan.seed + number)
            runs[scenario.name].append(seen)
            progress.tell(scenario, seen)
    return runs


def _curve(known: Mapping[str, System], scenario: Scenario, plan: Plan, progress: Progress) -> curve.Curve:
    return curve.curve(known[scenario.system], scenario, seconds=plan.curve_seconds, seed=plan.seed, tell=progress.tell)


def _tell(
    runs: Mapping[str, list[Figures]], curves: Sequence[curve.Curve], plan: Plan, options: argparse.Namespace
) -> bool:
    """Print and write everything; return whether every bar was reached."""
    medians = {name: median_of(several) for name, several in runs.items()}
    judged = verdicts(medians)
    runs_each = "one run" if plan.rounds == 1 else f"medians of {plan.rounds} runs"
    about = tables.conditions(f"{runs_each} of {plan.seconds:g} s for each row")
    print(tables.text(medians, judged))
    folder: Path = options.results
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "conditions": about,
        "plan": asdict(plan),
        "rows": {name: [asdict(one) for one in several] for name, several in runs.items()},
        "bars": [asdict(one) for one in judged],
        "curves": [asdict(one) for one in curves],
    }
    (folder / "bench.json").write_text(json.dumps(written, indent=1) + "\n")
    written_out, drawn = tables.markdown(about, medians, judged, curves), svg(curves) if curves else None
    (folder / "bench.md").write_text(written_out)
    if drawn:
        (folder / tables.PLOT).write_text(drawn)
    print(f"\nevery run, the tables and the plot are in {folder}")
    if options.write_docs:
        document.fill("bench", written_out)
        if drawn:
            (document.DOCS / tables.PLOT).write_text(drawn)
        print(f"and in {document.DOCUMENT}")
    return all(one.enough for one in judged)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*(one.name for one in SCENARIOS), CURVE]
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help="rows to measure, by name")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--rounds", type=int, help=f"how often each row is measured (default {ROUNDS})")
    parser.add_argument("--seconds", type=float, help=f"length of one measurement (default {SECONDS:g})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} round of {QUICK_SECONDS:g} s")
    parser.add_argument("--seed", type=int, default=SEED, help="of the workload; every round takes the next one")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for bench.json, bench.md, the plot")
    parser.add_argument("--write-docs", action="store_true", help="also put the tables and the plot into docs/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
