"""Puts printed tables into docs/statistics.md, between the marks of the command that printed them."""

from collections.abc import Iterable
from pathlib import Path

from tests.statistics.figures import Table, markdown

DOCUMENT = Path("docs/statistics.md")


def write(command: str, tables: Iterable[Table]) -> None:
    """Replace what the command printed last time. Raises ValueError when the document has no such place."""
    begin, end = f"<!-- printed by `{command}` -->\n", f"<!-- end of `{command}` -->\n"
    text = DOCUMENT.read_text()
    if begin not in text or end not in text:
        raise ValueError(f"{DOCUMENT} has no place for `{command}`")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(before + begin + "\n" + "\n".join(map(markdown, tables)) + "\n" + end + after)
