"""The methods of a client are in groups, which parts bring."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from headrace_client import AsyncClient, Client
from headrace_client.callers import Method
from headrace_client.installed import group_of, groups


class Naming:
    """A driver that answers with the name of the operation."""

    def run(self, operation: Any) -> str:
        return operation.__name__


@pytest.fixture
def client() -> Any:
    made: Any = Client("127.0.0.1:1", token="t")
    made._driver = Naming()
    return made


def test_a_method_of_a_group_calls_by_its_client(client: Any):
    assert client.models.get("digits") == "get_model"


def test_a_method_by_its_old_name_works_and_names_the_new_one(client: Any):
    with pytest.warns(DeprecationWarning, match="`get_model` is `models.get`"):
        assert client.get_model("digits") == "get_model"


def test_a_client_for_another_caller_has_groups_of_its_own(client: Any):
    other = client.with_token("another")
    assert other.models._client is other


def test_both_clients_have_every_group():
    for name in groups():
        assert isinstance(getattr(Client("127.0.0.1:1"), name), group_of(name))
        assert isinstance(getattr(AsyncClient("127.0.0.1:1"), name), group_of(name))


def test_no_two_methods_were_one_name_before_there_were_groups():
    old = [
        what.operation.__name__
        for name in groups()
        for what in vars(group_of(name)).values()
        if isinstance(what, Method)
    ]
    assert len(old) > 30
    assert len(set(old)) == len(old)


def test_a_method_has_the_documentation_of_its_operation(client: Any):
    assert inspect.getdoc(client.models.promote)


def test_what_no_part_has_is_no_attribute(client: Any):
    with pytest.raises(AttributeError, match="a client has no nonsense"):
        _ = client.nonsense
