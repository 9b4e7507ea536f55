"""Policies of rollouts as files: `rollout.yaml`, where whatever is wrong is named with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from headrace.rollout.v1 import rollout_pb2
from headrace_client.durations import parse_duration
from headrace_client.errors import FieldViolation, InvalidArgument
from headrace_client.yaml_files import FieldLines, composed, line_of

MAX_CHARS = 65_536
_DURATION = "google.protobuf.Duration"


def words_of(enum: EnumDescriptor) -> dict[str, int]:
    """Return the values of an enum as files and options have them.

    >>> words_of(rollout_pb2.RolloutPolicy.Shadow.Then.DESCRIPTOR)
    {'canary': 1, 'nothing': 2}
    """
    prefix = f"{enum.name.upper()}_"
    return {
        value.name.removeprefix(prefix).lower().replace("_", "-"): value.number for value in enum.values if value.number
    }


STRATEGIES = words_of(rollout_pb2.RolloutPolicy.Strategy.DESCRIPTOR)


class PolicyFile(FieldLines):
    """A policy from a file. policy: the message. `located` adds the file's lines to a refusal of it."""

    def __init__(self, policy: rollout_pb2.RolloutPolicy, path: Path, lines: Mapping[str, int]) -> None:
        super().__init__(path, "policy", lines)
        self.policy = policy


def read_policy(path: Path) -> PolicyFile:
    """Read a policy file. Raises InvalidArgument, naming the line, for what is none."""
    root = composed(path, "a policy of rollouts", "policy", max_chars=MAX_CHARS, reason="POLICY_INVALID")
    reader = _Reader(path.name)
    policy = rollout_pb2.RolloutPolicy()
    if root is not None:
        reader.message(root, policy, "policy")
    if reader.wrong:
        first = reader.wrong[0]
        raise InvalidArgument(f"{first.field}: {first.description}", reason="POLICY_INVALID", violations=reader.wrong)
    return PolicyFile(policy, path, reader.lines)


class _Reader:
    """Fills messages from nodes. lines: of each field. wrong: what no field can say."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.lines: dict[str, int] = {}
        self.wrong: list[FieldViolation] = []

    def message(self, node: yaml.Node, message: Any, path: str) -> None:
        """Fill a message from a mapping."""
        self.lines[path] = line_of(node)
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
                self.lines[at] = line_of(key)
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
        if field.message_type is not None and field.message_type.full_name != _DURATION:
            part = getattr(message, field.name)
            part.SetInParent()
            self.message(node, part, path)
            return
        value = node.value if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            self._refuse(node, path, "must be one value")
        elif field.message_type is not None:
            self._duration(node, message, field.name, value, path)
        elif field.enum_type is not None:
            words = words_of(field.enum_type)
            if value in words:
                setattr(message, field.name, words[value])
            else:
                self._refuse(node, path, f"'{value}' must be one of {', '.join(words)}")
        elif field.type == FieldDescriptor.TYPE_BOOL:
            if value in ("true", "false"):
                setattr(message, field.name, value == "true")
            else:
                self._refuse(node, path, f"'{value}' must be true or false")
        else:
            self._number(node, message, field, value, path)

    def _duration(self, node: yaml.Node, message: Any, name: str, value: str, path: str) -> None:
        duration: timedelta | None = parse_duration(value)
        if duration is None:
            self._refuse(node, path, f"'{value}' is no duration; write a number and a unit, such as 30s, 5m or 1h")
        else:
            getattr(message, name).FromTimedelta(duration)

    def _number(self, node: yaml.Node, message: Any, field: FieldDescriptor, value: str, path: str) -> None:
        whole = field.type == FieldDescriptor.TYPE_INT32
        try:
            setattr(message, field.name, int(value) if whole else float(value))
        except ValueError:
            self._refuse(node, path, f"'{value}' is no {'whole number of this size' if whole else 'number'}")

    def _refuse(self, node: yaml.Node, path: str, message: str) -> None:
        self.wrong.append(FieldViolation(f"{self._file}:{line_of(node)}", f"{path.removeprefix('policy.')}: {message}"))
