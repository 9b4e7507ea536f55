"""Run every simulation whole, print its table, and say whether every bar is held: `make test-statistics`, 10 minutes.

python -m tests.statistics                     all tables; exit code 1: a bar was missed
python -m tests.statistics canaries --write    those of docs/figures/canaries.csv, and write them there
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.statistics import document, plots, simulations
from tests.statistics.figures import Table, markdown
from tests.statistics.simulations import Simulation

_PLOT = Path("docs/statistics-alarms.svg")
_DOCUMENTS = {
    "statistics": (simulations.WHOLE, Path("docs/figures/statistics.csv")),
    "canaries": (simulations.CANARIES, Path("docs/figures/canaries.csv")),
    "scaling": (simulations.SCALING, Path("docs/figures/autoscaling.csv")),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.statistics", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("documents", nargs="*", metavar="DOCUMENT", help=f"{', '.join(_DOCUMENTS)}; default all")
    parser.add_argument("--write", action="store_true", help="write the tables to docs/figures")
    asked = parser.parse_args()
    if strange := set(asked.documents) - set(_DOCUMENTS):
        parser.error(f"{', '.join(sorted(strange))}: known are {', '.join(_DOCUMENTS)}")
    tables: list[Table] = []
    for name in asked.documents or _DOCUMENTS:
        wanted, path = _DOCUMENTS[name]
        made = printed(wanted)
        tables += made
        if asked.write:
            document.write(made, path)
            if name == "statistics":
                _PLOT.write_text(plots.alarms_by_rows(np.random.default_rng(11)))
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
