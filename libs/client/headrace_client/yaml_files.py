"""YAML files that become messages: whatever is wrong, here or in the answer to them, is named with its line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from headrace_client.errors import FieldViolation, HeadraceError, InvalidArgument
from headrace_client.local_files import read_as


class FieldLines:
    """The line of each field of a message that was read from a file. root: what the message is called in a request."""

    def __init__(self, path: Path, root: str, lines: Mapping[str, int]) -> None:
        self._path, self._root = path, root
        self._lines = {"": 1, root: 1, **lines}

    def located(self, error: HeadraceError) -> HeadraceError:
        """Return a refusal of the message with the line of each field; any other error as it is."""
        if not any(one.field.startswith(self._root) for one in error.violations):
            return error
        violations = [
            FieldViolation(f"{self._path.name}:{self._line(one.field)}", f"{one.field}: {one.description}")
            for one in error.violations
        ]
        message = f"{violations[0].field}: {violations[0].description}"
        return type(error)(message, reason=error.reason, violations=violations)

    def _line(self, field: str) -> int:
        """Return the line of a field, or of what it would stand in."""
        while field not in self._lines:
            field = field.rpartition("[" if field.endswith("]") else ".")[0]
        return self._lines[field]


def composed(path: Path, what: str, field: str, *, max_chars: int, reason: str) -> yaml.Node | None:
    """Return the nodes of a file, None of an empty one. Raises InvalidArgument, naming the line.

    what: that the file should be. field: the argument that names it.
    """
    with read_as(what, path, field):
        text = path.read_text(encoding="utf-8")
        if len(text) > max_chars:
            raise InvalidArgument(f"{path.name}: {len(text)} characters; {what} has at most {max_chars}")
        try:
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise InvalidArgument(f"{path.name}:{line}: {error.problem}", reason=reason) from None
        except yaml.YAMLError as error:
            raise InvalidArgument(f"{path.name}: {error}", reason=reason) from None


def line_of(node: yaml.Node) -> int:
    """Return the line where a node begins, from 1."""
    return node.start_mark.line + 1
