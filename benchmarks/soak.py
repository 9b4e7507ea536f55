"""`make bench-soak`: ten minutes of the 80/20 workload at 70 % of what the stack reaches; no error, and flat memory.

  make bench-soak
  make bench-soak BENCH="--minutes 2 --share 0.5"

First it measures what the stack reaches, then sends at random times. Answers are kept for a minute, so that everything
that grows with them has grown when the warm-up is over. Then memory is read every ten seconds: the median of the last
fifth may exceed that of the first by 2 %. Exit code 1: an error, or more than that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from headrace_client import HeadraceError

from benchmarks.checkout import BenchmarkError
from benchmarks.hot_path import RESULTS, SEED
from benchmarks.load.connection import WireError
from benchmarks.load.endings import OK
from benchmarks.load.generator import Generator
from benchmarks.load.workload import Workload, arrivals, choices
from benchmarks.measures.figures import percentile
from benchmarks.measures.measuring import measure
from benchmarks.measures.processes import usage
from benchmarks.measures.scenarios import SCENARIOS
from benchmarks.report import document
from benchmarks.systems import starting, subject
from benchmarks.systems.stack import running_stack

MINUTES, SHARE, WARM_UP_MINUTES = 10.0, 0.7, 2.0
MOST_GROWTH = 0.02
_KEPT = timedelta(minutes=1)
_SLICE_S = 10.0
_PEAK_S = 5.0

Memory = Mapping[str, float]


def growth(samples: Sequence[float]) -> float:
    """Return by how much the last fifth of the samples exceeds the first, by their medians, as a share."""
    fifth = max(1, len(samples) // 5)
    first, last = statistics.median(samples[:fifth]), statistics.median(samples[-fifth:])
    return last / first - 1 if first else 0.0


def growths(samples: Sequence[Memory]) -> dict[str, float]:
    """Return the growth of every process, and of all together. samples: bytes by process, in the order of time."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    found = {name: growth([sample.get(name, 0.0) for sample in samples]) for name in names}
    return {"all": growth([sum(sample.values()) for sample in samples]), **found}


def main() -> None:
    options = _options()
    try:
        sys.exit(0 if _soak(options) else 1)
    except (BenchmarkError, WireError, HeadraceError, OSError) as error:
        starting.told(f"bench-soak: {error}")
        sys.exit(2)


def _soak(options: argparse.Namespace) -> bool:
    with subject.scratch() as name:
        stack, model = running_stack(), subject.make_model(Path(name))
        starting.prepare(stack, model, ttl=_KEPT)
        system = starting.headrace(stack, model)
    peak = measure(system, SCENARIOS[0], seconds=_PEAK_S, seed=SEED).requests_per_s
    per_s = peak * options.share
    starting.told(f"the stack reaches {peak:,.0f} requests/s; sending {per_s:,.0f}/s for {options.minutes:g} minutes")
    workload = Workload(choices(SEED, known_share=0.8).tolist())
    processes, samples, outcomes, latencies = system.processes(), [], Counter[str](), list[float]()
    with Generator(system.target(), system.calls["predict"], workload, connections=8) as generator:
        steps = round((WARM_UP_MINUTES + options.minutes) * 60 / _SLICE_S)
        for step in range(steps):
            warm = step * _SLICE_S >= WARM_UP_MINUTES * 60
            result = generator.open(arrivals(SEED + step, per_s, _SLICE_S).tolist())
            outcomes.update(result.outcomes + result.bad)
            if warm:
                latencies += result.latencies_s
                samples.append({name: one.memory_bytes for name, one in usage(processes).items()})
            _tell(step, steps, warm, outcomes, processes)
    told = report(samples, outcomes, latencies, per_s)
    print(told)
    if options.write_docs:
        document.fill("soak", told)
    options.results.mkdir(parents=True, exist_ok=True)
    written = {"per_s": per_s, "outcomes": outcomes, "growth": growths(samples), "memory_bytes": samples}
    (options.results / "soak.json").write_text(json.dumps(written, indent=1) + "\n")
    return _errors(outcomes) == 0 and growths(samples)["all"] < MOST_GROWTH


def report(samples: Sequence[Memory], outcomes: Mapping[str, int], latencies: Sequence[float], per_s: float) -> str:
    """Return a sentence, and a table of the processes that changed by a hundredth, most growth first."""
    ordered = sorted(latencies)
    p50_ms, p99_ms = percentile(ordered, 0.5) * 1e3, percentile(ordered, 0.99) * 1e3
    errors = _errors(outcomes)
    lines = [
        f"{sum(outcomes.values()):,} answers at {per_s:,.0f} requests/s, p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms, "
        f"{errors:,} errors{f' ({dict(outcomes)})' if errors else ''}.",
        "",
        "| process | MiB at first | MiB at last | growth |",
        "| --- | --- | --- | --- |",
    ]
    for name, share in sorted(growths(samples).items(), key=lambda one: -one[1]):
        if name != "all" and abs(share) < 0.01:
            continue
        first, last = (sum(one.values()) if name == "all" else one.get(name, 0.0) for one in (samples[0], samples[-1]))
        lines.append(f"| {name} | {first / 2**20:,.1f} | {last / 2**20:,.1f} | {share:.1%} |")
    return "\n".join(lines)


def _errors(outcomes: Mapping[str, int]) -> int:
    return sum(count for word, count in outcomes.items() if word != OK)


def _tell(
    step: int,
    steps: int,
    warm: bool,
    outcomes: Counter[str],
    processes: Mapping[str, list[int]],
) -> None:
    if step % 6:
        return
    memory = sum(one.memory_bytes for one in usage(processes).values()) / 2**20
    starting.told(
        f"[{step + 1}/{steps}] {'' if warm else 'warm-up: '}{sum(outcomes.values()):,} answers, "
        f"{_errors(outcomes):,} errors, "
        f"{memory:,.0f} MiB in all"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"after a warm-up of {WARM_UP_MINUTES:g}")
    parser.add_argument("--share", type=float, default=SHARE, help="of what the stack reaches")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for soak.json")
    parser.add_argument("--write-docs", action="store_true", help="also put the result into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
