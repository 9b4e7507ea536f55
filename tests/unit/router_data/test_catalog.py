"""What a data plane tells of its models."""

from __future__ import annotations

from typing import Any

import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.protocols.oip.catalog import Catalog
from headrace_router.data.tables.tables import Tables
from headrace_router.data.telemetry.counters import Counters
from headrace_servicekit.errors import NotFound, ServiceError, Unavailable
from headrace_servicekit.identity import INTERNAL, Identity

from tests.kit.router.fake_control import resolved_version, table

WORDS = [
    tensor_pb2.TensorSpec(name="words", datatype="BYTES", shape=[-1]),
    tensor_pb2.TensorSpec(name="weight", datatype="BF16", optional=True),
]
V1, V2 = resolved_version("m", "v1"), resolved_version("m", "v2", inputs=WORDS)


def catalog(*tables_of: control_pb2.RouteTable, loaded: bool = True, ready: tuple[str, ...] = ("v1", "v2")) -> Catalog:
    tables = Tables()
    if loaded:
        messages = [control_pb2.WatchTablesResponse(table=one) for one in tables_of]
        end = control_pb2.WatchTablesResponse(snapshot_complete=True, incarnation="i", newest_generation=9)
        tables.replace([*messages, control_pb2.WatchTablesResponse(not_serving_model="idle"), end])
    digests = {resolved_version("m", version).digest for version in ready}
    return Catalog(
        tables,
        Counters(),
        serves=lambda _pool, served: served.digest in digests,
        ready=lambda: True,
        version="1.2",
        max_rows=7,
    )


def split(**shares: float) -> control_pb2.RouteTable:
    return table("m", [V1, V2], shares=shares, generation=1)


@pytest.mark.parametrize(
    ("shares", "inputs"), [({"v1": 0.9, "v2": 0.1}, ["x"]), ({"v1": 0.1, "v2": 0.9}, ["words", "weight"])]
)
def test_a_model_is_described_as_the_version_that_most_requests_get(shares: dict[str, float], inputs: list[str]):
    told = catalog(split(**shares)).metadata("m", "", INTERNAL)
    assert [one["name"] for one in told["inputs"]] == inputs
    assert told["versions"] == ["v1", "v2"]
    assert [one["name"] for one in catalog(split(**shares)).metadata("m", "v1", INTERNAL)["inputs"]] == ["x"]


def test_a_configuration_has_tritons_types_and_never_a_tensor_without_dimensions():
    told = catalog(split(v1=0.5, v2=0.5)).config("m", "v2", INTERNAL)
    assert told["max_batch_size"] == 7
    assert told["input"] == [
        {"name": "words", "data_type": "TYPE_STRING", "dims": [-1]},
        {"name": "weight", "data_type": "TYPE_BF16", "dims": [1], "reshape": {"shape": []}, "optional": True},
    ]


@pytest.mark.parametrize(("mode", "cached"), [(0, True), (1, True), (2, False), (3, False)])
def test_a_configuration_says_whether_answers_are_cached(mode: int, cached: bool):
    route = split(v1=1.0)
    route.lookup.CopyFrom(route_pb2.Lookup(mode=mode))  # type: ignore[arg-type]
    assert catalog(route).config("m", "", INTERNAL)["response_cache"] == {"enable": cached}


@pytest.mark.parametrize(
    ("version", "loaded", "ready"),
    [("", ("v1", "v2"), True), ("", ("v1",), False), ("v1", ("v1",), True), ("v2", ("v1",), False)],
)
def test_a_model_is_ready_when_every_version_is_that_a_request_may_get(
    version: str, loaded: tuple[str, ...], ready: bool
):
    assert catalog(split(v1=0.5, v2=0.5), ready=loaded).model_ready("m", version, INTERNAL) == ready


def test_a_version_without_traffic_does_not_make_a_model_unready():
    assert catalog(split(v1=1.0), ready=("v1",)).model_ready("m", "", INTERNAL)


ASKS: list[Any] = [Catalog.metadata, Catalog.config, Catalog.statistics]


@pytest.mark.parametrize("ask", ASKS)
def test_what_cannot_be_told_says_why(ask: Any):
    told = catalog(split(v1=1.0))
    for model, version, caller, error in (
        ("m", "", Identity("c", ("other-*",)), NotFound),
        ("m", "v9", INTERNAL, NotFound),
        ("nothing", "", INTERNAL, NotFound),
        ("idle", "", INTERNAL, Unavailable),
    ):
        with pytest.raises(error):
            ask(told, model, version, caller)
    with pytest.raises(Unavailable):
        ask(catalog(loaded=False), "m", "", INTERNAL)
    with pytest.raises(ServiceError):
        ask(told, "", "v1", INTERNAL)


def test_statistics_find_a_version_by_name_and_by_number():
    told = catalog(split(v1=0.5, v2=0.5))
    for version in ("v2", "2"):
        (one,) = told.statistics("m", version, INTERNAL)["model_stats"]
        assert one["version"] == "2"
    assert len(told.statistics("", "", INTERNAL)["model_stats"]) == 2
    assert told.statistics("", "", Identity("c", ()))["model_stats"] == []
