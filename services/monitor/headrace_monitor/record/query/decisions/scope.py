"""Derive from a query's syntax tree which rows it can read, so that no other files are fetched. Pure.

The tree is that of DuckDB's `json_serialize_sql`. What is not understood is read whole: a query never
sees less than it asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timedelta
from typing import Any

Tree = Mapping[str, Any]
# Returns the time that an expression without columns says; None for one that says none.
Evaluate = Callable[[Tree], datetime | None]

VIEWS = ("predictions", "outcomes", "labelled", "pipeline_steps")
OF_LOG = ("predictions", "labelled", "pipeline_steps")
# Functions that take names and queries as strings.
_INDIRECT = frozenset(("query", "query_table", "json_execute_serialized_sql"))
# Functions whose value is the same for every row of a query.
_STEADY = frozenset(("+", "-", "now", "get_current_timestamp", "today", "current_date", "date_trunc", "trunc")) | {
    f"to_{unit}" for unit in ("years", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds")
}
# `now()` is evaluated once to choose the files and again by the query itself.
_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Scope:
    """Rows outside it cannot be in the answer; None bounds nothing. The bounds of time are inclusive."""

    models: frozenset[str] | None = None
    versions: frozenset[str] | None = None
    start: datetime | None = None
    end: datetime | None = None

    def joined(self, other: Scope) -> Scope:
        """Return what either reads."""
        return Scope(
            None if self.models is None or other.models is None else self.models | other.models,
            None if self.versions is None or other.versions is None else self.versions | other.versions,
            None if self.start is None or other.start is None else min(self.start, other.start),
            None if self.end is None or other.end is None else max(self.end, other.end),
        )

    def narrowed(self, other: Scope) -> Scope:
        """Return what both read."""
        return Scope(
            _both(self.models, other.models),
            _both(self.versions, other.versions),
            max((each for each in (self.start, other.start) if each is not None), default=None),
            min((each for each in (self.end, other.end) if each is not None), default=None),
        )


@dataclass(frozen=True, slots=True)
class ViewUse:
    """What a query uses. views: those that it names. scope: rows of the log that it can read."""

    views: frozenset[str]
    scope: Scope


def reading(statement: Tree, evaluate: Evaluate) -> ViewUse:
    """Return what a statement reads."""
    nodes = list(_nodes(statement))
    named = [str(node.get("table_name", "")).lower() for node in nodes if node.get("type") == "BASE_TABLE"]
    if any(node.get("type") == "SHOW_REF" or node.get("function_name") in _INDIRECT for node in nodes):
        return ViewUse(frozenset(VIEWS), Scope())
    views = frozenset(name for name in named if name in VIEWS)
    bounded = [scope for node in nodes if (scope := _of_select(node, evaluate)) is not None]
    if not bounded or len(bounded) != sum(name in OF_LOG for name in named):
        return ViewUse(views, Scope())
    scope = bounded[0]
    for each in bounded[1:]:
        scope = scope.joined(each)
    return ViewUse(views, scope)


def _of_select(node: Tree, evaluate: Evaluate) -> Scope | None:
    """Return the bounds of a SELECT whose FROM is one view of predictions and nothing else; None for any other node.

    In joins a WHERE may stand for something else (ASOF), and a sample is drawn before it.
    """
    table = node.get("from_table")
    if node.get("type") != "SELECT_NODE" or not isinstance(table, dict) or table.get("type") != "BASE_TABLE":
        return None
    if table["table_name"].lower() not in OF_LOG:
        return None
    if table.get("sample") or table.get("column_name_alias") or not node.get("where_clause"):
        return Scope()
    names = {(table.get("alias") or table["table_name"]).lower()}
    scope = Scope()
    for condition in _conditions(node["where_clause"]):
        scope = scope.narrowed(_of_condition(condition, names, evaluate))
    return scope


def _conditions(where: Tree) -> Iterator[Tree]:
    if where.get("type") == "CONJUNCTION_AND":
        for child in where["children"]:
            yield from _conditions(child)
    else:
        yield where


_FLIPPED = {
    "COMPARE_EQUAL": "COMPARE_EQUAL",
    "COMPARE_GREATERTHAN": "COMPARE_LESSTHAN",
    "COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO",
    "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN",
    "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
}


def _of_condition(condition: Tree, names: set[str], evaluate: Evaluate) -> Scope:
    kind = condition.get("type")
    if kind == "COMPARE_IN":
        column, *values = condition["children"]
        return _of_names(_column(column, names), [_text(value) for value in values])
    if kind == "COMPARE_BETWEEN" and _column(condition["input"], names) == "answer_time":
        return Scope(start=_early(condition["lower"], evaluate), end=_late(condition["upper"], evaluate))
    if kind not in _FLIPPED:
        return Scope()
    left, right = condition["left"], condition["right"]
    if _column(left, names) is None:
        left, right, kind = right, left, _FLIPPED[kind]
    column = _column(left, names)
    if column == "answer_time":
        start = _early(right, evaluate) if "LESS" not in kind else None
        return Scope(start=start, end=_late(right, evaluate) if "GREATER" not in kind else None)
    return _of_names(column, [_text(right)]) if kind == "COMPARE_EQUAL" else Scope()


def _of_names(column: str | None, values: list[str | None]) -> Scope:
    known = frozenset(value for value in values if value is not None)
    if len(known) != len(set(values)):
        return Scope()
    if column == "model":
        return Scope(models=known)
    return Scope(versions=known) if column == "version" else Scope()


def _column(node: Tree, names: set[str]) -> str | None:
    """Return the name of a column of the view; None for everything else."""
    if node.get("class") != "COLUMN_REF":
        return None
    *of, name = (str(part).lower() for part in node["column_names"])
    return name if not of or (len(of) == 1 and of[0] in names) else None


def _text(node: Tree) -> str | None:
    if node.get("class") != "CONSTANT" or node["value"].get("type", {}).get("id") != "VARCHAR":
        return None
    return node["value"].get("value")


def _early(node: Tree, evaluate: Evaluate) -> datetime | None:
    moment = _moment(node, evaluate)
    return None if moment is None else moment - _SLACK


def _late(node: Tree, evaluate: Evaluate) -> datetime | None:
    moment = _moment(node, evaluate)
    return None if moment is None else moment + _SLACK


def _moment(node: Tree, evaluate: Evaluate) -> datetime | None:
    steady = all(
        part.get("class") in (None, "CONSTANT", "CAST", "FUNCTION")
        and ("function_name" not in part or part["function_name"] in _STEADY)
        for part in _nodes(node)
    )
    moment = evaluate(node) if steady else None
    # At either end of what a datetime can say there is no room for slack, and nothing to be left out.
    return moment if moment is not None and MINYEAR < moment.year < MAXYEAR else None


def _nodes(value: Any) -> Iterator[Tree]:
    """Yield every object of a tree; iterative, since trees of hostile queries are deep."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other
