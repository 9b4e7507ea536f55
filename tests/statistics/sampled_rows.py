"""Rows of the log with different probabilities: what a few very rare ones leave of a window."""

from datetime import UTC, datetime

import numpy as np
from headrace_monitor.judge.windows.decisions.window_summaries import Window, even
from headrace_statistics import references
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.references import NumericReference, Reference, Source
from headrace_statistics.sketches.moments import Moments

from tests.statistics.figures import Figure, Table

ROWS = 1_000_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


def sampled_rows(rng: np.random.Generator, rows: int = ROWS) -> Table:
    """A normal column, through the monitor's windows. Naive: all are thinned to the rarest. Rare rows are like the
    others but for 1 sd; bias: of the mean.
    """
    column = references.freeze_numeric(rng.normal(size=10_000))
    figures = []
    for rare, probability in ((1, 2**-20), (49, 2**-10), (50, 2**-4), (500, 2**-4)):
        windows = {1.0: _window(column, rng.normal(size=rows)), probability: _window(column, rng.normal(1, 1, rare))}
        kept = even(windows).summaries["x"]
        stand_for = rare / probability
        truth = stand_for / (stand_for + rows)
        assert isinstance(kept, references.NumericSummary)
        found = evaluate(Reference(Source.ARTIFACT, "", AT, {"x": column}, {}), {"x": kept}, level=0.001)
        thinned = round((rows + stand_for) * probability)
        off, alarms = kept.moments.mean - truth, sum(one.alarm for one in found)
        figures.append(
            Figure(
                f"{rare} of {rows:,} rows with probability 2^{round(np.log2(probability))}",
                f"{kept.rows:,} rows, mean off by {off:+.3f}, {alarms} alarms",
                "≥ 3 % of rows, no alarm" if rare < 50 else "≥ 3 % of rows",
                kept.rows >= 0.03 * rows and (rare >= 50 or not alarms),
                f"{thinned:,} rows",
            )
        )
    return Table("Sampled rows: what is left of a window in which a few are very rare", tuple(figures))


def _window(column: NumericReference, values: np.ndarray) -> Window:
    return Window(values.size, {"x": references.summarise(column, values)}, Moments())
