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
    """Return a text with the named part replaced. Raises RegionMissing."""
    found = _part(re.escape(name)).search(text)
    if found is None:
        raise RegionMissing(f"no lines `# topology: {name}` and `# end of {name}` around what is written by a program")
    lines = [f"{found['indentation']}{line}" if line else line for line in content.splitlines()]
    made = "".join(f"{line}\n" for line in lines)
    return text[: found.start()] + found["begin"] + made + found["end"] + text[found.end() :]


def by_hand(text: str) -> str:
    """Return a text without its generated parts: what people edit."""
    return _part(r"[\w ]+?").sub(r"\g<begin>\g<end>", text)


def _part(name: str) -> re.Pattern[str]:
    begin = rf"^(?P<begin>(?P<indentation>[ \t]*)(?:#|<!--) topology: (?P<name>{name})(?: -->)?\n)"
    end = r"(?P<end>^[ \t]*(?:#|<!--) end of (?P=name)(?: -->)?\n)"
    return re.compile(rf"{begin}.*?{end}", re.MULTILINE | re.DOTALL)
