"""docs/operations.md promises nothing that no test shows, and names nothing that is not there."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest
from headrace_stack.ports import FREE, Port, Ports
from headrace_stack.replicas import MOST, read
from headrace_stack.requests import Scale, parse
from headrace_stack.scaler import Change

from tests.kit.deployment import observability, topology
from tests.kit.deployment.topology import CHECKOUT
from tests.kit.rows import each

PAGE = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
NAMED = sorted(set(_TEST.findall(PAGE)))
OUTAGES = [
    line
    for line in PAGE.partition("## What each outage does")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| gone", "| ---"))
]


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((CHECKOUT / path).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return frozenset(function.name for function in functions)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda part: part[-60:])
def test_a_test_that_is_named_exists(path: str, name: str):
    assert name in functions_of(path)


@each("row", OUTAGES)
def test_every_outage_names_the_test_that_shows_it(row: str):
    assert _TEST.search(row.split("|")[-2])


def test_there_are_outages_and_tests():
    assert len(OUTAGES) >= 20
    assert len(NAMED) >= 30


def test_settings_that_are_named_exist():
    known = {name for service in topology.services().values() for name in topology.variables_of(service)}
    named = set(re.findall(rf"`((?:{'|'.join(topology.prefixes())})[A-Z0-9_]*[A-Z0-9])`", PAGE))
    assert len(named) > 20
    assert named <= known


def test_ports_that_are_named_are_those_of_the_list():
    section = PAGE.partition("## Ports and metrics")[2].partition("\n| look at")[0]
    rows = re.findall(r"^\| ([a-z-]+) \| (\d+) \| (\d+)", section, flags=re.MULTILINE)
    services = topology.services()
    assert [name for name, *_ in rows] == [name for name, service in services.items() if not service.store]
    for name, calls, metrics in rows:
        ports = services[name].ports
        assert (int(calls), int(metrics)) == (ports.get("http", ports.get("grpc")), ports["metrics"])


def test_ports_of_the_wheel_stack_are_those_of_its_list():
    section = PAGE.partition("In the wheel stack the first data plane")[2].partition("Connections between")[0]
    first, replicas = section.split("Replicas there:")
    words = " ".join(replicas.split())
    named = set(map(int, re.findall(r"\b8[01]\d\d\b", first))) | set(range(8102, 8110))
    assert named <= ports_of(Ports(8080))
    assert {8086, 8087, 8088, 8100, 8101} <= named
    assert f"up to {MOST} of each" in words
    assert f"between {FREE.start} and {FREE.stop - 1}" in words
    # What is shown there is what the supervisor takes and answers.
    assert parse(re.findall(r"echo '(.*)'", replicas)[0].encode()) == Scale("batcher-default", 3)
    answer = json.loads(re.findall(r'^({"ok".*})$', replicas, flags=re.MULTILINE)[0])
    assert answer.keys() == {"ok", *Change.__dataclass_fields__}
    assert read({"HEADRACE_POOLS": re.findall(r'HEADRACE_POOLS="(.*)" make', replicas)[0]})


def ports_of(stack: Ports) -> set[int]:
    values = (getattr(stack, name) for name, kind in vars(Ports).items() if isinstance(kind, property))
    return {value.number for value in values if isinstance(value, Port)}


def test_metrics_that_are_named_are_made_somewhere():
    section = PAGE.partition("| look at | when |")[2].partition("\n## ")[0]
    named = [
        name
        for row in section.splitlines()
        for name in re.findall(r"`([a-z_]{8,})`", row.split("|")[1] if "|" in row else "")
    ]
    code = "\n".join(path.read_text(encoding="utf-8") for path in _sources())
    assert len(named) >= 6
    # The data plane's families are a prefix and a name.
    parts = [name.removesuffix("_total").removeprefix("headrace_router_") for name in named]
    assert [part for part in parts if part not in code] == []


def test_every_alert_has_a_row_that_says_what_to_do():
    section = PAGE.partition("## By alert")[2].partition("\n## ")[0]
    told = {
        name: severity
        for names, severity in re.findall(r"^\| (`Headrace.*?) \| (\w+) \| \S", section, flags=re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    rules = observability.rules().items()
    assert told == {name: rule["labels"]["severity"] for name, rule in rules if "alert" in rule}


def test_reasons_that_are_named_are_given_somewhere():
    section = PAGE.partition("## By symptom")[2]
    # Statuses of gRPC are no reasons of ours.
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", section)) - {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
    named = {name for name in named if not name.startswith(topology.prefixes())}
    code = "\n".join(path.read_text(encoding="utf-8") for path in _sources())
    assert len(named) >= 4
    assert [name for name in named if f'"{name}"' not in code] == []


def test_commands_that_are_named_exist():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets, modules = (
        set(re.findall(pattern, PAGE)) for pattern in (r"`make ([a-z-]+)", r"python -m (benchmarks\.\w+)")
    )
    assert targets
    for target in targets:
        assert f"\n{target}:" in makefile, target
    for module in modules:
        assert (CHECKOUT / f"{module.replace('.', '/')}.py").exists(), module


def _sources() -> list[Path]:
    folders = ("services", "libs/servicekit", "libs/runtime", "deploy/envoy")
    return [path for folder in folders for path in (CHECKOUT / folder).rglob("*.py")]
