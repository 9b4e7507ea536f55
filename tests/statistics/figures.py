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


def markdown(table: Table) -> str:
    """Render the table for docs and terminal alike, in columns of even width."""
    rows = [tuple(table.headings)]
    for figure in table.figures:
        shown = figure if figure.held else replace(figure, ours=f"**{figure.ours}** (missed)")
        rows.append(tuple(getattr(shown, name) for name in table.headings.values()))
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.headings))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    about = f"*{table.about}*\n\n" if table.about else ""
    return f"### {table.title}\n\n{about}" + "\n".join(lines) + "\n"
