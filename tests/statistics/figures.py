"""A figure with its bar, and what others give on the same data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Figure:
    """what: the case. ours, naive, package: as shown. bar: what it is held to, or NOTHING. held: whether it is. before:
    what our code said before a change. other: what another package says.
    """

    what: str
    ours: str
    bar: str = NOTHING
    held: bool = True
    naive: str = NOTHING
    package: str = NOTHING
    before: str = NOTHING
    other: str = NOTHING


# Headings with the fields below them.
_PLAIN = {"case": "what", "Headrace": "ours", "bar": "bar", "naive": "naive", "package": "package"}
BESIDE = {
    "case": "what",
    "before": "before",
    "Headrace": "ours",
    "bar": "bar",
    "specification's code": "naive",
    "Evidently": "package",
    "NannyML": "other",
}


@dataclass(frozen=True, slots=True)
class Table:
    """headings: with the fields of figures below them. about: what is measured, on what, and how."""

    title: str
    figures: tuple[Figure, ...]
    headings: Mapping[str, str] = field(default_factory=lambda: _PLAIN)
    about: str = ""

    @property
    def held(self) -> bool:
        return all(figure.held for figure in self.figures)


def share(alarms: Iterable[bool]) -> str:
    """Show how many of them, in percent."""
    listed = list(alarms)
    return f"{100 * sum(map(bool, listed)) / len(listed):.1f} %"


def rows(table: Table) -> list[list[str]]:
    """Return the headings and the cells of each case, without columns that say nothing."""
    cases: list[list[str]] = []
    for figure in table.figures:
        shown = figure if figure.held else replace(figure, ours=f"{figure.ours} (missed)")
        cases.append([getattr(shown, name) for name in table.headings.values()])
    columns = [
        [heading, *cells]
        for heading, cells in zip(table.headings, zip(*cases, strict=True), strict=True)
        if any(cell != NOTHING for cell in cells)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def markdown(table: Table) -> str:
    """Render the table for the terminal, in columns of even width."""
    listed = rows(table)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in listed
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    about = f"*{table.about}*\n\n" if table.about else ""
    return f"### {table.title}\n\n{about}" + "\n".join(lines) + "\n"
