"""Puts what was measured into docs/benchmarks.md, between the two marks that carry its name."""

from __future__ import annotations

from benchmarks.checkout import ROOT, BenchmarkError

DOCS = ROOT / "docs"
DOCUMENT = DOCS / "benchmarks.md"


def filled(document: str, name: str, content: str) -> str:
    """Return the document with this between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

    Raises BenchmarkError when it has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise BenchmarkError(f"the document has no marks for {name}")
    return f"{before}{begin}\n{content.strip()}\n\n{end}{after}"


def fill(name: str, content: str) -> None:
    """Write it."""
    DOCUMENT.write_text(filled(DOCUMENT.read_text(), name, content))
