"""The rules for what callers declare of models and versions. Violations name the field of the request."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from headrace_servicekit.errors import FieldViolation
from headrace_servicekit.resource_names import is_id

from headrace_registry.decisions import compositions, defaults, formats, traffic
from headrace_registry.decisions.files import Artifact
from headrace_registry.decisions.gates import RATIOS
from headrace_registry.decisions.models import Bound, Gate, Lineage, Metric, Model, Version
from headrace_registry.decisions.names import is_file_name, is_sha256

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

# Of a version as a message, artifacts apart: watches carry all versions of a model in one message.
MAX_VERSION_BYTES = 512 * 1024

MAX_DESCRIPTION_CHARS = 4096
MAX_REASON_CHARS = 1024
MAX_REQUEST_ID_CHARS = 128
MAX_KEY_CHARS = 128
MAX_VALUE_CHARS = 4096
MAX_LABELS = 64
MAX_PARAMETERS = 256
MAX_ALIASES = 100
# `convert` refuses longer lists before it makes values of them.
MAX_METRICS = 128
MAX_GATES = 32
MAX_ARTIFACTS = 32


def text_violations(value: str, field: str, max_chars: int) -> list[FieldViolation]:
    """Return what is wrong with free text: its length, or control characters other than tab and newline."""
    if len(value) > max_chars:
        return [FieldViolation(field, f"{len(value)} characters; at most {max_chars}")]
    if _CONTROL.search(value):
        return [FieldViolation(field, "has control characters")]
    return []


def model_violations(model: Model, field: str) -> list[FieldViolation]:
    """Return what is wrong with what people declare of a model."""
    return [
        *text_violations(model.description, f"{field}.description", MAX_DESCRIPTION_CHARS),
        *_map_violations(model.labels, f"{field}.labels", MAX_LABELS),
        *gate_violations(model.gates or (), f"{field}.promotion_policy.gates"),
        *traffic.share_violations(model.max_unpromoted_share, f"{field}.promotion_policy.max_unpromoted_share"),
    ]


def gate_violations(gates: Sequence[Gate], field: str) -> list[FieldViolation]:
    """Return what is wrong with promotion gates. A metric may have one of each kind of bound."""
    found = []
    seen = set()
    for index, gate in enumerate(gates):
        place = f"{field}[{index}]"
        found += _metric_name_violations(gate.metric, f"{place}.metric")
        kind, bound = next(iter(gate.bounds.items()), (None, 0.0))
        if kind is None:
            found.append(FieldViolation(f"{place}.bound", f"set one of {', '.join(Bound)}"))
        elif not math.isfinite(bound):
            found.append(FieldViolation(f"{place}.bound", f"{bound} is not finite"))
        elif kind in RATIOS and bound <= 0:
            found.append(FieldViolation(f"{place}.bound", f"{bound:.15g} is no ratio: it must be above zero"))
        key = (gate.metric, kind)
        if key in seen:
            found.append(FieldViolation(f"{place}.metric", f"'{gate.metric[:100]}' has this bound twice"))
        seen.add(key)
    return found


def version_violations(version: Version, field: str) -> list[FieldViolation]:
    """Return what is wrong with a version, its contract apart: that may still be taken from the model file."""
    return [
        *text_violations(version.description, f"{field}.description", MAX_DESCRIPTION_CHARS),
        *metric_violations(version.metrics, f"{field}.metrics"),
        *_map_violations(version.parameters, f"{field}.parameters", MAX_PARAMETERS),
        *_lineage_violations(version.lineage, version.ref.version, f"{field}.lineage"),
        *defaults.violations(version.serving, f"{field}.serving"),
        *_artifact_violations(version.artifacts, f"{field}.artifacts"),
        *_kind_violations(version, field),
    ]


def _kind_violations(version: Version, field: str) -> list[FieldViolation]:
    """Return where a version does not have the files of its format, or of its pipeline."""
    if version.composition is None:
        return formats.violations(version.format, version.artifacts, f"{field}.artifacts")
    return compositions.violations(version, version.composition.pipeline, field)


def metric_violations(metrics: Sequence[Metric], field: str) -> list[FieldViolation]:
    """Return what is wrong with metrics: names, values, and more than one value of a name for each source."""
    found = []
    seen = set()
    for index, metric in enumerate(metrics):
        place = f"{field}[{index}]"
        found += _metric_name_violations(metric.name, f"{place}.name")
        if not math.isfinite(metric.value):
            found.append(FieldViolation(f"{place}.value", f"{metric.value} is not finite"))
        if (metric.name, metric.source) in seen:
            found.append(FieldViolation(f"{place}.name", f"'{metric.name[:100]}' appears twice"))
        seen.add((metric.name, metric.source))
    return found


def _metric_name_violations(name: str, field: str) -> list[FieldViolation]:
    if not name:
        return [FieldViolation(field, "is empty")]
    if len(name) > MAX_KEY_CHARS or not name.isprintable():
        return [FieldViolation(field, f"must be printable and at most {MAX_KEY_CHARS} characters")]
    return []


def _map_violations(values: Mapping[str, str], field: str, max_entries: int) -> list[FieldViolation]:
    if len(values) > max_entries:
        return [FieldViolation(field, f"{len(values)} entries; at most {max_entries}")]
    found = []
    for key in sorted(values):
        if not key or len(key) > MAX_KEY_CHARS or not key.isprintable():
            found.append(FieldViolation(field, f"key {key[:40]!r} is not 1 to {MAX_KEY_CHARS} printable characters"))
        else:
            found += text_violations(values[key], f"{field}[{key}]", MAX_VALUE_CHARS)
    return found


def _lineage_violations(lineage: Lineage, version: str, field: str) -> list[FieldViolation]:
    found = []
    parent = lineage.parent_version
    if parent and not is_id(parent):
        found.append(FieldViolation(f"{field}.parent_version", f"{parent[:100]!r} is not the id of a version"))
    elif parent == version:
        found.append(FieldViolation(f"{field}.parent_version", "a version is not its own parent"))
    for name in ("run", "dataset", "code_revision"):
        found += text_violations(getattr(lineage, name), f"{field}.{name}", MAX_VALUE_CHARS)
    return found


def _artifact_violations(artifacts: Sequence[Artifact], field: str) -> list[FieldViolation]:
    found = []
    for index, artifact in enumerate(artifacts):
        place = f"{field}[{index}]"
        if not is_file_name(artifact.name):
            found.append(
                FieldViolation(f"{place}.name", f"{artifact.name[:100]!r} is not a file name of letters, digits, . - _")
            )
        elif artifact.name in {earlier.name for earlier in artifacts[:index]}:
            found.append(FieldViolation(f"{place}.name", f"'{artifact.name}' appears twice"))
        if not is_sha256(artifact.sha256):
            found.append(FieldViolation(f"{place}.sha256", "is not 64 lower-case hexadecimal digits"))
    return found
