"""Writes docs/decisions/README.md, the index of decision records by area, from the records themselves.

python docs/decisions/index.py generate    write the index
python docs/decisions/index.py check       fail when it is out of date

A record begins with a heading and one line: its area, and the day on which it was decided.

# 0101: Model-ready false for unknown models

*data plane · accepted · 2026-11-26*
"""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
INDEX = HERE / "README.md"
# Records of how a test or a benchmark is done stand next to those.
FOLDERS = (HERE, ROOT / "tests" / "decisions", ROOT / "benchmarks" / "decisions")
AREAS = (
    *("front door", "data plane", "cache", "control plane", "batcher", "registry", "monitor", "statistics"),
    "autoscaler",
    *("rollout", "scorer", "console"),
    *("client", "servicekit", "stack", "deploy", "examples", "tests", "benchmarks"),
)
_RECORD = re.compile(
    r"# (?P<number>\d{4}): (?P<title>[^\n]+)\n\n"
    r"\*(?P<area>[a-z ]+) · accepted · \d{4}-\d\d-\d\d\*\n"
)

_HEAD = """# Decisions

One record per choice that someone could reasonably reverse, of some 150 words: context, choice, price. Its name
is what someone would search for. Numbers are never reused; a merged record has the lowest number of its members. A
choice that changes edits its record, and the history of the file has the former one.

A tactic (how one function does its work) is a comment at its line.

Written by `make decisions` from the first lines of the records.
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One decision. path: from the index."""

    number: str
    title: str
    area: str
    path: str


def records() -> list[Record]:
    """Return every record by number. Raises ValueError for one that does not begin as it should."""
    found = [_record(path) for folder in FOLDERS for path in folder.glob("[0-9]*.md")]
    return sorted(found, key=lambda record: record.number)


def _record(path: Path) -> Record:
    begins = _RECORD.match(path.read_text(encoding="utf-8"))
    if begins is None or begins["area"] not in AREAS or not path.name.startswith(f"{begins['number']}-"):
        raise ValueError(
            f"{path.relative_to(ROOT)}: it must begin with `# {path.name[:4]}: Noun phrase`, an empty line, and "
            f"`*area · accepted · YYYY-MM-DD*`; the area is one of {', '.join(AREAS)}"
        )
    place = os.path.relpath(path, HERE)
    return Record(begins["number"], begins["title"], begins["area"], place)


def index(found: list[Record]) -> str:
    """Return the index, a list for each area."""
    by_area = defaultdict(list)
    for record in found:
        by_area[record.area].append(record)
    parts = [_HEAD]
    for area in AREAS:
        rows = [f"* [{one.number}: {one.title}]({one.path})" for one in by_area[area]]
        parts.append("\n".join([f"## {area[0].upper()}{area[1:]}", "", *rows, ""]))
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    try:
        text = index(records())
    except ValueError as error:
        sys.stderr.write(f"{error}; then run `make decisions`\n")
        return 1
    match arguments:
        case ["generate"]:
            INDEX.write_text(text, encoding="utf-8")
        case ["check"]:
            if INDEX.read_text(encoding="utf-8") != text:
                sys.stderr.write("docs/decisions/README.md: out of date; run `make decisions`\n")
                return 1
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
