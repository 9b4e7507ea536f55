"""No module of ours needs itself by way of others, imports for types alone included."""

import graphlib
from collections.abc import Mapping

import grimp
import pytest
from headrace_stack import description

from deploy.topology.__main__ import ROOT

LIBRARIES = {
    "headrace_client",
    "headrace_runtime",
    "headrace_scaling",
    "headrace_servicekit",
    "headrace_stack",
    "headrace_statistics",
}


def packages_of_services() -> set[str]:
    services = description.own(description.read(description.path_in(ROOT)))
    return {service.package.partition(".")[0] for service in services if service.package} | {"front_door"}


def circle_in(imports: Mapping[str, set[str]]) -> list[str]:
    """Return modules of which each imports the next, the last the first; empty where there are none."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_modules_that_import_each_other_are_found():
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


@pytest.mark.parametrize("package", sorted(LIBRARIES | packages_of_services()))
def test_no_module_imports_itself_by_way_of_others(package: str):
    graph = grimp.build_graph(package, cache_dir=None)
    assert len(graph.modules) > 5
    assert circle_in({one: graph.find_modules_directly_imported_by(one) for one in graph.modules}) == []
