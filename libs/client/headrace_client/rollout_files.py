"""Policies of rollouts as files: `rollout.yaml`, where whatever is wrong is named with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from headrace.rollout.v1 import rollout_pb2

from headrace_client.durations import parse_duration
from headrace_client.errors import FieldViolation, HeadraceError, InvalidArgument
from headrace_client.local_files import read_as

MAX_CHARS = 65_536
_STRATEGIES = {
    name.removeprefix("STRATEGY_").lower().replace("_", "-"): number
    for name, number in rollout_pb2.RolloutPolicy.Strategy.items()
    if number
}
_DURATION = "google.protobuf.Duration"


class PolicyFile:
    """A policy that was read. policy: the message. A refusal of it is told by `located` with the lines of the file."""

    def __init__(self, policy: rollout_pb2.RolloutPolicy, path: Path, lines: Mapping[str, int]) -> None:
        self.policy = policy
        self._path, self._lines = path, lines

    def located(self, error: HeadraceError) -> HeadraceError:
        """Return a refusal of the policy with the line of each field; any other error as it is."""
        if not any(one.field.startswith("policy") for one in error.violations):
            return error
        violations = [
            FieldViolation(f"{self._path.name}:{self._line(one.field)}", f"{one.field}: {one.description}")
            for one in error.violations
        ]
        told = f"{violations[0].field}: {violations[0].description}"
        return type(error)(told, reason=error.reason, violations=violations)

    def _line(self, field: str) -> int:
        """Return the line of a field, or of what it would stand in."""
        while field not in self._lines:
            field = field.rpartition(".")[0]
        return self._lines[field]


def read_policy(path: Path) -> PolicyFile:
    """Read a policy file. Raises InvalidArgument, naming the line, for what is none."""
    with read_as("a policy of rollouts", path, "policy"):
        text = path.read_text(encoding="utf-8")
        if len(text) > MAX_CHARS:
            raise InvalidArgument(f"{path.name}: {len(text)} characters; a policy has at most {MAX_CHARS}")
        root = _composed(text, path)
    reader = _Reader(path.name)
    policy = rollout_pb2.RolloutPolicy()
    if root is not None:
        reader.message(root, policy, "policy")
    if reader.wrong:
        first = reader.wrong[0]
        raise InvalidArgument(f"{first.field}: {first.description}", reason="POLICY_INVALID", violations=reader.wrong)
    return PolicyFile(policy, path, {"": 1, "policy": 1, **reader.lines})


def _composed(text: str, path: Path) -> yaml.Node | None:
    """Return the nodes of a text. Raises InvalidArgument, naming the line; RecursionError."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidArgument(f"{path.name}:{line}: {error.problem}", reason="POLICY_INVALID") from None
    except yaml.YAMLError as error:
        raise InvalidArgument(f"{path.name}: {error}", reason="POLICY_INVALID") from None


class _Reader:
    """Fills messages from nodes. lines: of each field. wrong: what no field can say."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.lines: dict[str, int] = {}
        self.wrong: list[FieldViolation] = []

    def message(self, node: yaml.Node, message: Any, path: str) -> None:
        """Fill a message from a mapping."""
        self.lines[path] = _line(node)
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, path, "must be names with values, such as `strategy: canary`")
            return
        known: Mapping[str, FieldDescriptor] = message.DESCRIPTOR.fields_by_name
        for key, value in node.value:
            name = str(key.value)
            at = f"{path}.{name}"
            if name not in known:
                self._refuse(key, at, f"is not known here; known: {', '.join(known)}")
            elif at in self.lines:
                self._refuse(key, at, f"is there twice, first in line {self.lines[at]}")
            else:
                self.lines[at] = _line(key)
                self._field(value, message, known[name], at)

    def _field(self, node: yaml.Node, message: Any, field: FieldDescriptor, path: str) -> None:
        if field.is_repeated:
            if not isinstance(node, yaml.SequenceNode):
                self._refuse(node, path, "must be a list")
                return
            items: Sequence[yaml.Node] = node.value
            for position, item in enumerate(items):
                self.message(item, getattr(message, field.name).add(), f"{path}[{position}]")
            return
        value = node.value if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            self._refuse(node, path, "must be one value")
        elif field.message_type is not None and field.message_type.full_name == _DURATION:
            self._duration(node, message, field.name, value, path)
        elif field.enum_type is not None:
            if value in _STRATEGIES:
                setattr(message, field.name, _STRATEGIES[value])
            else:
                self._refuse(node, path, f"'{value}' must be one of {', '.join(_STRATEGIES)}")
        elif field.type == FieldDescriptor.TYPE_BOOL:
            if value in ("true", "false"):
                setattr(message, field.name, value == "true")
            else:
                self._refuse(node, path, f"'{value}' must be true or false")
        else:
            self._number(node, message, field.name, value, path)

    def _duration(self, node: yaml.Node, message: Any, name: str, value: str, path: str) -> None:
        duration: timedelta | None = parse_duration(value)
        if duration is None:
            self._refuse(node, path, f"'{value}' is no duration; write a number and a unit, such as 30s, 5m or 1h")
        else:
            getattr(message, name).FromTimedelta(duration)

    def _number(self, node: yaml.Node, message: Any, name: str, value: str, path: str) -> None:
        try:
            setattr(message, name, float(value))
        except ValueError:
            self._refuse(node, path, f"'{value}' is no number")

    def _refuse(self, node: yaml.Node, path: str, told: str) -> None:
        self.wrong.append(FieldViolation(f"{self._file}:{_line(node)}", f"{path.removeprefix('policy.')}: {told}"))


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
