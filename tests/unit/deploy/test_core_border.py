"""The core knows no part: none of its modules imports a part's code or messages, no proto of it imports a part's."""

import ast
import graphlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy.topology import sources
from deploy.topology.__main__ import ROOT
from tests.border.test_core_without_parts import TESTS

CORE = (
    "front_door",
    "headrace_batcher",
    "headrace_client",
    "headrace_registry",
    "headrace_router",
    "headrace_runtime",
    "headrace_servicekit",
    "headrace_stack",
)
# Packages of protos/headrace: the core's own, and what all of the installation shares.
CORE_PROTOS = ("access", "batcher", "registry", "router", "telemetry", "tensor", "validation", "webhook")


def imported(source: str) -> Iterator[str]:
    """Yield every module that a source imports, with what it imports of it; for types alone too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{one.name}" for one in node.names)


def is_of_a_part(module: str) -> bool:
    """Return whether a module is of ours and not the core's."""
    first, _, rest = module.partition(".")
    if first == "headrace":
        return rest != "" and rest.partition(".")[0] not in CORE_PROTOS
    return first.startswith("headrace_") and first not in CORE


def test_what_is_of_a_part_is_known_by_its_name():
    source = "import headrace_monitor.record\nfrom headrace.rollout.v1 import rollout_pb2\nfrom headrace import scorer"
    assert all(map(is_of_a_part, imported(source)))
    core = "import grpc, headrace, headrace_router\nfrom headrace.router.v1 import route_pb2"
    assert not any(map(is_of_a_part, imported(core)))


@pytest.mark.parametrize("package", CORE)
def test_no_module_of_the_core_imports_a_part(package: str):
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    modules = list(Path(spec.origin).parent.rglob("*.py"))
    assert len(modules) > 5
    found = {
        (str(module.relative_to(ROOT)), name)
        for module in modules
        for name in imported(module.read_text())
        if is_of_a_part(name)
    }
    assert not found


def test_no_unit_test_of_the_core_imports_a_part():
    tests = [file for folder in TESTS for file in (ROOT / "tests" / "unit" / folder).rglob("*.py")]
    found = {(file.name, name) for file in tests for name in imported(file.read_text()) if is_of_a_part(name)}
    assert not found


def test_no_proto_of_the_core_imports_a_part_s():
    protos = ROOT / "protos" / "headrace"
    imports = [
        (proto.name, line.split('"')[1])
        for package in CORE_PROTOS
        for proto in (protos / package).rglob("*.proto")
        for line in proto.read_text().splitlines()
        if line.startswith("import ")
    ]
    assert len(imports) > 20
    assert [one for one in imports if one[1].startswith("headrace/") and one[1].split("/")[1] not in CORE_PROTOS] == []


def test_imports_between_parts_go_one_way():
    arrows = sources.arrows_between()
    assert "core" not in arrows
    assert next(iter(graphlib.TopologicalSorter(arrows).static_order())) == "core"
