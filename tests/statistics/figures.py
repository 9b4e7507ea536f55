"""A figure with its bar, and what others give on the same data."""

from collections.abc import Iterable
from dataclasses import dataclass

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Figure:
    """what: the case. ours, naive, package: as shown. bar: what it is held to, or NOTHING. held: whether it is."""

    what: str
    ours: str
    bar: str = NOTHING
    held: bool = True
    naive: str = NOTHING
    package: str = NOTHING


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    figures: tuple[Figure, ...]

    @property
    def held(self) -> bool:
        return all(figure.held for figure in self.figures)


def share(alarms: Iterable[bool]) -> str:
    """Show how many of them, in percent."""
    listed = list(alarms)
    return f"{100 * sum(map(bool, listed)) / len(listed):.1f} %"


def markdown(table: Table) -> str:
    """Render the table for docs and terminal alike, in columns of even width."""
    rows = [("case", "Headrace", "bar", "naive", "package")]
    for figure in table.figures:
        ours = figure.ours if figure.held else f"**{figure.ours}** (missed)"
        rows.append((figure.what, ours, figure.bar, figure.naive, figure.package))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return f"### {table.title}\n\n" + "\n".join(lines) + "\n"
