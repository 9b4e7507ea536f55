"""The pages of docs/recipes as data: their blocks, in order, with the language of each."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from headrace_stack.settings import checkout_of_this_file

FOLDER = checkout_of_this_file() / "docs" / "recipes"
INDEX = FOLDER / "README.md"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences."""

    language: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """Return the lines of a console block as words."""
        joined = self.text.replace("\\\n", " ")
        return [shlex.split(line) for line in joined.splitlines() if line.strip()] if self.language == "console" else []


@dataclass(frozen=True, slots=True)
class Page:
    """One recipe."""

    name: str
    text: str
    blocks: tuple[Block, ...]

    @property
    def script(self) -> str:
        """Return its `train.py`."""
        (script,) = [block.text for block in self.blocks if block.language == "python"]
        return script

    @property
    def commands(self) -> list[list[str]]:
        """Return all that is typed, as words."""
        return [command for block in self.blocks for command in block.commands]

    @property
    def model(self) -> str:
        """Return the name that it registers."""
        (register,) = [command for command in self.commands if command[:3] == ["headrace", "models", "register"]]
        return register[3]

    @property
    def packages(self) -> list[str]:
        """Return what its first line installs."""
        return self.commands[0][2:]


def read(path: Path) -> Page:
    """Return the page in a file."""
    text = path.read_text(encoding="utf-8")
    return Page(path.stem, text, tuple(Block(*found) for found in _BLOCK.findall(text)))


PAGES = [read(path) for path in sorted(FOLDER.glob("*.md")) if path != INDEX]
