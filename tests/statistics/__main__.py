"""Run every simulation whole, print its table, and say whether every bar is held. `--write` puts them into the
documents. `statistics`, `canaries` or `scaling`: only those of one document.
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.statistics import document, plots, simulations
from tests.statistics.figures import Table, markdown
from tests.statistics.simulations import Simulation

_PLOT = Path("docs/statistics-alarms.svg")
_COMMAND = "make test-statistics"
_DOCUMENTS = {"statistics", "canaries", "scaling"}


def main() -> int:
    asked = _DOCUMENTS & set(sys.argv) or _DOCUMENTS
    tables: list[Table] = []
    if "statistics" in asked:
        tables += printed(simulations.WHOLE)
        if "--write" in sys.argv:
            document.write(_COMMAND, tables)
            _PLOT.write_text(plots.alarms_by_rows(np.random.default_rng(11)))
    if "canaries" in asked:
        canaries = printed(simulations.CANARIES)
        tables += canaries
        if "--write" in sys.argv:
            document.write(_COMMAND, canaries, Path("docs/canaries.md"))
    if "scaling" in asked:
        scaling = printed(simulations.SCALING)
        tables += scaling
        if "--write" in sys.argv:
            document.write(_COMMAND, scaling, Path("docs/autoscaling.md"))
    missed = [table.title for table in tables if not table.held]
    sys.stdout.write("every bar is held\n" if not missed else f"missed: {'; '.join(missed)}\n")
    return 1 if missed else 0


def printed(wanted: Mapping[str, Simulation]) -> list[Table]:
    tables: list[Table] = []
    for name, simulation in wanted.items():
        began = time.monotonic()
        tables.append(simulations.run(name, simulation))
        sys.stdout.write(f"{markdown(tables[-1])}\n({name}: {time.monotonic() - began:.0f} s)\n\n")
        sys.stdout.flush()
    return tables


if __name__ == "__main__":
    sys.exit(main())
