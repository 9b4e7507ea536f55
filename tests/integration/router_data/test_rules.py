"""A rule by attribute over every protocol, through a whole data plane."""

from __future__ import annotations

import pytest
from headrace.router.v1 import route_pb2
from headrace_servicekit.testing import eventually

from tests.kit.router.data_plane import data_plane
from tests.kit.router.digits import V1, V2, digits_request
from tests.kit.router.fake_control import table


def ruled():
    """Everything to v1, and Germans to v2."""
    made = table("digits", [V1, V2])
    made.rules.add(name="germans", variant=1, conditions=[route_pb2.Condition(attribute="country", equals="DE")])
    return made


@pytest.fixture
async def plane(control, batcher, tmp_path):
    control.put_table(ruled())
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path) as plane:
        yield plane


async def grpc_answer(plane, attributes, **fields):
    answer = await plane.stub.Predict(digits_request(attributes=attributes, **fields), timeout=5)
    return answer.version, answer.variant, answer.rule


async def natural_answer(plane, attributes, **fields):
    body = {"instances": [[1, 2, 3, 4]], "attributes": attributes, **fields}
    answer = (await plane.rest.post("/v1/models/digits:predict", json=body)).json()
    return answer["model_version"], answer["variant"], answer.get("rule", "")


async def spec_answer(plane, attributes, **fields):
    renamed = {"model_version": fields["version"]} if fields else {}
    body = {
        "model_name": "digits",
        "inputs": {"x": [1, 2, 3, 4]},
        "metadata": {"user_id": "u", **attributes},
        **renamed,
    }
    answer = (await plane.rest.post("/v1/predict", json=body)).json()
    return answer["model_version"], answer["variant"], answer.get("rule", "")


@pytest.mark.parametrize("ask", [grpc_answer, natural_answer, spec_answer])
async def test_a_rule_decides_by_attributes_and_is_named(plane, ask):
    assert await ask(plane, {"country": "DE"}) == ("v2", "v2", "germans")
    assert await ask(plane, {"country": "FR"}) == ("v1", "v1", "")
    assert await ask(plane, {}) == ("v1", "v1", "")
    assert await ask(plane, {"country": "DE"}, version="v1") == ("v1", "", "")


async def test_an_attribute_that_is_null_is_not_there(plane):
    assert await natural_answer(plane, {"country": None}) == ("v1", "v1", "")


async def test_a_rule_comes_and_goes_with_a_generation(plane, control):
    control.put_table(table("digits", [V1, V2]))

    async def forgotten():
        return await grpc_answer(plane, {"country": "DE"}) == ("v1", "v1", "")

    await eventually(forgotten)
    control.put_table(ruled())

    async def back():
        return await grpc_answer(plane, {"country": "DE"}) == ("v2", "v2", "germans")

    await eventually(back)


async def test_started_without_a_control_plane_it_keeps_the_rules(control, batcher, tmp_path):
    pools = {"default": [batcher.target]}
    control.put_table(ruled())
    async with data_plane(control.target, pools, tmp_path) as plane:
        await eventually(lambda: (tmp_path / "tables.bin").exists())
        assert await grpc_answer(plane, {"country": "DE"}) == ("v2", "v2", "germans")
    async with data_plane("127.0.0.1:1", pools, tmp_path) as plane:
        assert await grpc_answer(plane, {"country": "DE"}) == ("v2", "v2", "germans")
