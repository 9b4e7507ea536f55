"""A part of a handwritten file that is written by a program: the lines between two marks.

# topology: NAME
…
# end of NAME

In Markdown the marks are comments of HTML. The line of a mark stays as it is, its indentation is that of the part.
"""

from __future__ import annotations

import re


class RegionMissing(ValueError):
    """A file has no such part; the message says which marks to put where it shall stand."""


def replaced(text: str, name: str, content: str) -> str:
    """Return a text with the named part anew. Raises RegionMissing."""
    begin, end = (rf"[ \t]*(?:#|<!--) {mark}(?: -->)?\n" for mark in (f"topology: {name}", f"end of {name}"))
    found = re.search(rf"^(?P<begin>{begin}).*?(?P<end>^{end})", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise RegionMissing(f"no lines `# topology: {name}` and `# end of {name}` around what is written by a program")
    indentation = re.match(r"[ \t]*", found["begin"])
    assert indentation is not None
    lines = [f"{indentation[0]}{line}" if line else line for line in content.splitlines()]
    made = "".join(f"{line}\n" for line in lines)
    return text[: found.start()] + found["begin"] + made + found["end"] + text[found.end() :]
