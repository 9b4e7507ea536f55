"""Tests that share a stack have models of their own."""

import pytest
from headrace_servicekit.resource_names import is_id

from tests.kit.clients.headrace_cli import own_model


def test_tests_of_one_name_in_two_files_have_two_models():
    names = {own_model(f"tests/e2e/{file}.py::test_the_same_by_rest") for file in ("test_routes", "test_route_lookups")}
    assert len(names) == 2


@pytest.mark.parametrize("node", ["tests/a.py::test_é[1-x y]", "tests/a.py::test_" + "long_" * 40])
def test_a_name_of_a_model_is_made_of_any_test(node: str):
    assert is_id(own_model(node))
