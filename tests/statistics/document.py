"""Puts printed tables into documents, between the marks of the command that printed them."""

from collections.abc import Iterable
from pathlib import Path

from tests.statistics.figures import Table, markdown

DOCUMENT = Path("docs/figures/statistics.md")


def write(command: str, tables: Iterable[Table], document: Path = DOCUMENT) -> None:
    """Replace what the command printed last time. Raises ValueError when the document has no such place."""
    begin, end = f"<!-- printed by `{command}` -->\n", f"<!-- end of `{command}` -->\n"
    text = document.read_text()
    if begin not in text or end not in text:
        raise ValueError(f"{document} has no place for `{command}`")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(before + begin + "\n" + "\n".join(map(markdown, tables)) + "\n" + end + after)
