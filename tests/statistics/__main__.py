"""Run every simulation whole, print its table, and say whether every bar is held. `--write` puts them into the
document.
"""

import sys
import time
from pathlib import Path

import numpy as np

from tests.statistics import document, plots, simulations
from tests.statistics.figures import markdown

_PLOT = Path("docs/statistics-alarms.svg")


def main() -> int:
    tables = []
    for name, simulation in simulations.WHOLE.items():
        began = time.monotonic()
        tables.append(simulations.run(name, simulation))
        sys.stdout.write(f"{markdown(tables[-1])}\n({name}: {time.monotonic() - began:.0f} s)\n\n")
        sys.stdout.flush()
    if "--write" in sys.argv:
        document.write("make test-statistics", tables)
        _PLOT.write_text(plots.alarms_by_rows(np.random.default_rng(11)))
    missed = [table.title for table in tables if not table.held]
    sys.stdout.write("every bar is held\n" if not missed else f"missed: {'; '.join(missed)}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
