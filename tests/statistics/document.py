"""Writes printed tables to docs/figures, one row a case: what a reader filters, and a review compares."""

import csv
from collections.abc import Iterable
from pathlib import Path

from tests.statistics.figures import NOTHING, Table, rows


def write(tables: Iterable[Table], path: Path) -> None:
    """Replace the file. A table's description stands in its first row."""
    listed = list(tables)
    columns = list(dict.fromkeys(heading for table in listed for heading in rows(table)[0]))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["table", *columns, "measured"])
        for table in listed:
            headings, *cases = rows(table)
            for number, case in enumerate(cases):
                cells = dict(zip(headings, case, strict=True))
                shown = ["" if cells.get(column, NOTHING) == NOTHING else cells[column] for column in columns]
                writer.writerow([table.title, *shown, "" if number else table.about])
