"""Judge the drift of 100 columns of a million rows: `python -m benchmarks.drift`. Bar: 10 s, with bounded memory."""

import resource
import time
from datetime import UTC, datetime

import numpy as np
from headrace_statistics import references
from headrace_statistics.drift.evaluation import evaluate

COLUMNS = 100
ROWS = 1_000_000
BLOCK = 100_000


def main() -> None:
    rng = np.random.default_rng(1)
    frozen = {f"column{i}": references.freeze_numeric(rng.normal(size=BLOCK)) for i in range(COLUMNS)}
    reference = references.Reference(references.Source.ARTIFACT, "benchmark", datetime.now(UTC), frozen, unfit={})
    blocks = [rng.normal(size=BLOCK) for _ in range(10)]
    before_mb = _peak_mb()
    began, cpu = time.perf_counter(), time.process_time()
    window: dict[str, references.Summary] = {}
    for name, column in frozen.items():
        summary: references.NumericSummary | None = None
        for block in range(ROWS // BLOCK):
            part = references.summarise_numeric(blocks[block % len(blocks)], column.edges)
            summary = part if summary is None else summary.merge(part)
        assert summary is not None
        window[name] = summary
    summarised = time.perf_counter()
    reports = evaluate(reference, window, level=0.001)
    ended = time.perf_counter()
    print(f"{COLUMNS} columns x {ROWS:,} rows, {len(reports)} tests, {sum(report.alarm for report in reports)} alarms")
    cpu_s = time.process_time() - cpu
    print(f"summarised in {summarised - began:.2f} s, judged in {ended - summarised:.2f} s, CPU {cpu_s:.2f} s")
    print(f"memory grew by {_peak_mb() - before_mb:.0f} MB at its peak")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
