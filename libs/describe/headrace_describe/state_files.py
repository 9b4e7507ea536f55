"""Files that say how an installation should be: models, routes, alert rules, limits and scaling policies, by name.

A resource is written with the fields of the API, in YAML; `state_differences` says what of it is otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml
from google.protobuf import json_format
from google.protobuf.message import Message
from headrace.autoscaler.v1 import policy_pb2
from headrace.monitor.v1 import alert_pb2
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import budget_pb2, client_limits_pb2, route_pb2
from headrace_client.cli.values import Gate
from headrace_client.errors import InvalidArgument
from headrace_client.yaml_files import composed, line_of

MAX_CHARS = 2**20
MAX_NODES = 200_000
REASON = "STATE_INVALID"
_WHAT = "a description of an installation"
_YAML = "tag:yaml.org,2002:"
# An unquoted date is a string for the API.
_TEXTS = frozenset(("str", "timestamp", "merge", "value"))
_VALUES = frozenset(("null", "bool", "int", "float"))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of resource. section: of the file. message: of the API. name: of one, where `{}` is its id."""

    section: str
    message: type[Message]
    name: str
    fixed: frozenset[str]
    """Fields that a file cannot state: the name, and what the service says."""


# In the order in which they are applied: what is named by others comes first.
KINDS = (
    Kind(
        "models",
        registry_pb2.Model,
        "models/{}",
        frozenset(
            {
                *("name", "aliases", "production_version", "epoch", "etag", "create_time", "update_time"),
                *("max_unpromoted_share", "rollback_versions"),
            }
        ),
    ),
    Kind("budgets", budget_pb2.Budget, "budgets/{}", frozenset({"name"})),
    Kind("rate_limits", client_limits_pb2.RateLimit, "rateLimits/{}", frozenset({"name"})),
    Kind("alert_rules", alert_pb2.AlertRule, "alertRules/{}", frozenset({"name"})),
    Kind(
        "pools",
        policy_pb2.ScalingPolicy,
        "pools/{}/policy",
        frozenset({"name", "etag", "revision", "update_time", "updated_by"}),
    ),
    Kind(
        "routes",
        route_pb2.Route,
        "routes/{}",
        frozenset({"name", "etag", "update_time", "updated_by", "managed_by"}),
    ),
)
_BY_SECTION = {kind.section: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a file. stated: its fields, as they were written. place: file and line."""

    kind: Kind
    id: str
    stated: Mapping[str, Any]
    place: str

    @property
    def name(self) -> str:
        """Return its name in the API."""
        return self.kind.name.format(self.id)


def read_state(paths: Sequence[Path]) -> list[Resource]:
    """Return the resources of files, in the order in which they are applied. Raises InvalidArgument with the line."""
    found: dict[tuple[str, str], Resource] = {}
    for path in paths:
        for resource in _resources(path):
            before = found.setdefault((resource.kind.section, resource.id), resource)
            if before is not resource:
                raise wrong(resource.place, f"{resource.kind.section}.{resource.id} is in {before.place} too")
    order = [kind.section for kind in KINDS]
    return sorted(found.values(), key=lambda one: (order.index(one.kind.section), one.id))


def _resources(path: Path) -> Iterator[Resource]:
    root = composed(path, _WHAT, "FILE", max_chars=MAX_CHARS, reason=REASON)
    if root is None:
        return
    try:
        _check(root, path, [MAX_NODES])
    except RecursionError:  # an anchor that is within itself
        raise wrong(path.name, "it is nested too deeply") from None
    for section, body in _entries(root, path, "the file"):
        kind = _BY_SECTION.get(str(section.value))
        if kind is None:
            message = f"'{section.value}' is not known here; known: {', '.join(_BY_SECTION)}"
            raise wrong(f"{path.name}:{line_of(section)}", message)
        for key, fields in _entries(body, path, kind.section):
            place, stated = f"{path.name}:{line_of(key)}", _value(fields, path)
            if not isinstance(stated, dict):
                raise wrong(place, f"{kind.section}.{key.value} must be fields with values")
            for field in stated:
                if field in kind.fixed:
                    raise wrong(place, f"{kind.section}.{key.value}.{field} is for the service to say")
            if kind.section == "models":
                _read_gates(stated, place)
            yield Resource(kind, str(key.value), stated, place)


def _read_gates(model: Mapping[str, Any], place: str) -> None:
    """Put the fields of gates in the place of those that are written as the command line has them."""
    policy = model.get("promotion_policy")
    gates = policy.get("gates") if isinstance(policy, dict) else None
    if not isinstance(gates, list):
        return
    for at, gate in enumerate(gates):
        if isinstance(gate, str):
            try:
                read = Gate().convert(gate, None, None)
            except click.UsageError as error:
                raise wrong(place, error.message) from None
            gates[at] = json_format.MessageToDict(read, preserving_proto_field_name=True)


def _entries(node: yaml.Node, path: Path, what: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise wrong(f"{path.name}:{line_of(node)}", f"{what} must be names with what belongs to them")
    yield from node.value


def _check(node: yaml.Node, path: Path, left: list[int]) -> None:
    """Refuse what is there twice, keys that are no words, and anchors that multiply."""
    left[0] -= 1
    if left[0] < 0:
        raise wrong(path.name, f"it has more than {MAX_NODES:,} values, those of repeated anchors counted each time")
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(item, path, left)
    elif isinstance(node, yaml.MappingNode):
        known: set[str] = set()
        for key, value in node.value:
            place = f"{path.name}:{line_of(key)}"
            if not isinstance(key, yaml.ScalarNode):
                raise wrong(place, "a name must be one word")
            if key.value in known:
                raise wrong(place, f"'{key.value}' is there twice")
            known.add(key.value)
            _check(value, path, left)


def _value(node: yaml.Node, path: Path) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _value(value, path) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, path) for item in node.value]
    kind = node.tag.removeprefix(_YAML)
    if kind in _TEXTS:
        return str(node.value)
    if kind in _VALUES:
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (ValueError, LookupError, yaml.YAMLError):
            pass  # "!!int x", and numbers of thousands of digits
    raise wrong(f"{path.name}:{line_of(node)}", f"a value is not the {kind[:40]} that it says it is")


def wrong(place: str, told: str) -> InvalidArgument:
    """Return the refusal of what is at a place of a file."""
    return InvalidArgument(f"{place}: {told}", reason=REASON)
