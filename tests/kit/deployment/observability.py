"""What dashboards and rules ask Prometheus for: the expressions, and the metrics and labels in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.kit.deployment.topology import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "observability"
RULES = sorted((FOLDER / "prometheus" / "rules").glob("*.yml"))
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))

# What Prometheus itself makes, and puts on everything.
MADE_BY_PROMETHEUS = {"up"}
LABELS_OF_TARGETS = {"job", "instance"}

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w:.$])([a-zA-Z_:][a-zA-Z0-9_:]*)(?!\s*\(|[\w:])")
_KEYWORDS = {"and", "or", "unless", "bool", "offset"}
_SUFFIXES = ("_bucket", "_count", "_sum")


@dataclass(frozen=True, slots=True)
class Asked:
    """One expression. labels: by metric, those that the expression selects or groups it by."""

    where: str
    expression: str
    labels: Mapping[str, frozenset[str]]


def asked_of(where: str, expression: str) -> Asked:
    """Take an expression apart. A label that is grouped by must be on every metric of the expression."""
    bare = _TEXT.sub('""', expression)
    grouped = {label.strip() for inside in _GROUPING.findall(bare) for label in inside.split(",") if label.strip()}
    bare = _GROUPING.sub(" ", bare)
    labels: dict[str, set[str]] = {}
    for metric, matchers in _SELECTOR.findall(bare):
        labels.setdefault(metric, set()).update(re.findall(r"([a-zA-Z_]\w*)\s*[=!]", matchers))
    for metric in _NAME.findall(_RANGE.sub(" ", _SELECTOR.sub(r"\1", bare))):
        if metric not in _KEYWORDS:
            labels.setdefault(metric, set())
    return Asked(where, expression, {metric: frozenset(told | grouped) for metric, told in labels.items()})


def family(metric: str) -> tuple[str, set[str]]:
    """Return the family that samples of a metric are in, and the labels that its suffix brings."""
    for suffix in _SUFFIXES:
        if metric.endswith(suffix):
            return metric.removesuffix(suffix), {"le"} if suffix == "_bucket" else set()
    return metric, set()


def dashboards() -> dict[str, dict[str, Any]]:
    """Return every dashboard by the name of its file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS}


def rules() -> dict[str, dict[str, Any]]:
    """Return every rule by its name: of a recorded metric, or of an alert."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    return {rule.get("record") or rule["alert"]: rule for group in groups for rule in group["rules"]}


def everything_asked() -> list[Asked]:
    """Return every expression of the rules, the panels and the variables of dashboards."""
    return [*_of_rules(), *_of_dashboards()]


def _of_rules() -> Iterator[Asked]:
    for name, rule in rules().items():
        yield asked_of(name, rule["expr"])


def _of_dashboards() -> Iterator[Asked]:
    for name, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield asked_of(f"{name}: {panel['title']}", target["expr"])
        for variable in board["templating"]["list"]:
            if found := re.fullmatch(r"label_values\((\w+), (\w+)\)", variable.get("definition", "")):
                yield Asked(f"{name}: variable", variable["definition"], {found[1]: frozenset({found[2]})})


def filled_in(expression: str) -> str:
    """Return what Grafana asks Prometheus for when every variable of a dashboard is left at `All`."""
    return re.sub(r'"\$\w+"', '".*"', expression.replace("$__rate_interval", "1m"))


def panels() -> list[tuple[str, str]]:
    """Return dashboard and title of every panel's questions, and what each asks Prometheus for."""
    return [(asked.where, filled_in(asked.expression)) for asked in _of_dashboards() if ": variable" not in asked.where]


def recorded_labels() -> dict[str, frozenset[str]]:
    """Return the labels of each recorded metric: those that it is grouped by."""
    return {
        name: frozenset(label.strip() for label in _GROUPING.findall(rule["expr"])[0].split(","))
        for name, rule in rules().items()
        if "record" in rule
    }


def exposed(expositions: Iterable[str]) -> dict[str, set[str]]:
    """Return the labels that are seen on each family of Prometheus's text format, without those of a kind of metric."""
    found: dict[str, set[str]] = {}
    for text in expositions:
        for line in text.splitlines():
            if kind := re.match(r"# TYPE (\S+)", line):
                found.setdefault(kind[1], set())
            elif sample := re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ", line):
                # A counter's family may have a suffix or not; a histogram's samples have one that it has not.
                name = sample[1] if sample[1] in found else family(sample[1])[0]
                found.setdefault(name, set()).update(re.findall(r'([a-zA-Z_]\w*)="', sample[2] or ""))
    return {name: labels - {"le"} for name, labels in found.items()}
