"""Several processes of one service: what each is told, and that none gets in the way of another."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from headrace_servicekit.endpoints import present_target
from headrace_stack import replicas, settings, topology
from headrace_stack.component import Component
from headrace_stack.endpoints import publish
from headrace_stack.ports import BLOCK, PortBook, Ports
from headrace_stack.replicas import ENOUGH_FOR_TWO_BYTES, MOST, ONE_OF_EACH, Backend, Pool, Replicas
from headrace_stack.settings import DataPlane, SettingsError, StackSettings, checkout_of_this_file, read
from headrace_stack.start_order import start_waves

from tests.kit.rows import each

ALL_TWICE = Replicas(registries=2, control_planes=2, data_planes=2).with_batchers(2)


@pytest.fixture
def twice(tmp_path: Path) -> dict[str, Component]:
    """The components of a stack with two of everything that scales, by name."""
    return _components(tmp_path, ALL_TWICE)


def _components(home: Path, counts: Replicas, data_plane: DataPlane = DataPlane.SERVICE) -> dict[str, Component]:
    settings = StackSettings(checkout_of_this_file(), home, Ports(8080), replicas=counts, data_plane=data_plane)
    settings.create_directories()
    components = topology.components(settings)
    start_waves(components)  # refuses a port that two of them take
    return {component.name: component for component in components}


def test_data_planes_scale_as_front_doors_or_as_services_of_their_own(tmp_path: Path):
    for data_plane, name in ((DataPlane.FRONT_DOOR, "front-door"), (DataPlane.SERVICE, "router-data")):
        settings = StackSettings(checkout_of_this_file(), tmp_path, Ports(8080), data_plane=data_plane)
        settings.create_directories()
        scalable = topology.scalable(settings)
        assert scalable[name] == "front-door"
        assert {"registry", "router-control"} < scalable.keys()
        # What is said to scale is a component, and no store.
        assert scalable.keys() <= {component.name for component in topology.components(settings)}
        assert not {"postgres", "batcher-default"} & scalable.keys()


def test_what_was_counted_can_be_written_and_read_again():
    counted = replace(ALL_TWICE, others=(("scorer", 3),))
    assert replicas.of_json(json.loads(json.dumps(asdict(counted)))) == counted


@pytest.mark.parametrize(("memory_bytes", "batchers"), [(0, 1), (ENOUGH_FOR_TWO_BYTES - 1, 1), (2**35, 2)])
def test_there_is_one_of_each_and_a_second_batcher_where_memory_allows(memory_bytes: int, batchers: int):
    assert replicas.read({}, memory_bytes) == ONE_OF_EACH.with_batchers(batchers)
    assert replicas.read({"HEADRACE_BATCHERS": "1"}, memory_bytes) == ONE_OF_EACH
    assert replicas.read({"HEADRACE_POOLS": "default=triton"}, memory_bytes).pools == (Pool("default"),)


def test_a_start_without_settings_has_what_the_memory_of_the_machine_allows():
    assert read({}).replicas in (ONE_OF_EACH, ONE_OF_EACH.with_batchers(2))
    assert read({}) == read({})


def test_counts_are_read_from_the_variables_that_they_are_written_to():
    assert replicas.read(replicas.to_environment(ALL_TWICE)) == ALL_TWICE


@pytest.mark.parametrize("value", ["0", str(MOST + 1), "two", "-1"])
def test_a_count_that_cannot_be_is_refused_naming_its_variable(value: str):
    with pytest.raises(SettingsError, match="HEADRACE_DATA_PLANES"):
        read({"HEADRACE_DATA_PLANES": value})


@pytest.mark.parametrize(
    ("variables", "pools"),
    [
        ({"HEADRACE_BATCHERS": "2"}, {"default": ("triton", 2), "cpu": ("onnxruntime", 1)}),
        ({"HEADRACE_POOLS": "default=triton:3"}, {"default": ("triton", 3)}),
        ({"HEADRACE_POOLS": "default=triton:3", "HEADRACE_BATCHERS": "2"}, {"default": ("triton", 2)}),
        (
            {"HEADRACE_POOLS": " big-a=triton; cpu=onnxruntime:64;"},
            {"big-a": ("triton", 1), "cpu": ("onnxruntime", 64)},
        ),
    ],
)
def test_pools_are_described_by_a_variable(variables: dict[str, str], pools: dict[str, tuple[str, int]]):
    found = replicas.read(variables)
    assert {pool.name: (pool.backend.value, pool.replicas) for pool in found.pools} == pools
    assert replicas.read(replicas.to_environment(found)) == found


@each("value", ["default", "default=", "default=tensorrt", "default=triton:0", "default=triton:65", "default=triton:x",
     ";", "a=triton;a=triton", "a-1=triton", "A=triton", "a_b=triton", "-=triton", f"{'a' * 41}=triton",
     ";".join(f"a{number}=triton" for number in range(17))])  # fmt: skip
def test_pools_that_cannot_be_are_refused_naming_the_variable(value: str):
    with pytest.raises(SettingsError, match="HEADRACE_POOLS"):
        read({"HEADRACE_POOLS": value})


def test_batchers_without_a_default_pool_cannot_be_counted():
    with pytest.raises(SettingsError, match="HEADRACE_BATCHERS"):
        read({"HEADRACE_POOLS": "cpu=onnxruntime", "HEADRACE_BATCHERS": "2"})


def test_first_replicas_have_the_documented_ports_and_further_ones_any_that_nobody_has(twice: dict[str, Component]):
    for name, first in (("registry", 8082), ("router-control", 8084), ("batcher-default", 8090), ("router-data", 8089)):
        assert twice[name].ports[0].number == first
    further = [port.number for name, one in twice.items() if name.endswith("-1") for port in one.ports]
    assert len(set(further)) == len(further) > 8
    assert not set(further) & set(range(8080, 8080 + BLOCK))


def test_a_replica_has_the_same_ports_each_time_and_another_never_gets_them():
    ports = Ports(8080)
    seen = [ports.of_replica(number).batcher.number for number in range(1, 64)]
    assert seen == [ports.of_replica(number).batcher.number for number in range(1, 64)]
    assert len(set(seen)) == 63


def test_without_a_free_port_there_is_no_further_replica():
    ports = Ports(8080, book=PortBook(is_free=lambda _number: False))
    assert ports.batcher.number == 8090
    with pytest.raises(OSError, match="no free port"):
        _ = ports.of_replica(1).batcher


def test_batchers_of_any_pool_are_components(tmp_path: Path):
    counts = Replicas(pools=(Pool("big", Backend.TRITON, 2), Pool("edge", Backend.ONNXRUNTIME)))
    components = _components(tmp_path, counts)
    assert [name for name in components if name.startswith("batcher")] == [
        "batcher-big", "batcher-big-1", "batcher-edge",
    ]  # fmt: skip
    assert components["batcher-big-1"].environment["BATCHER_POOL"] == "big"
    assert "BATCHER_TRITON_COMMAND" not in components["batcher-edge"].environment
    assert components["router-data"].environment["ROUTER_DATA_POOLS"].startswith("big=127.0.0.1:")


def test_replicas_share_no_directory_and_no_id(twice: dict[str, Component]):
    for service, variables in (("router-data", ("STATE_DIR", "ID")), ("batcher-default", ("STATE_DIR",))):
        prefix = "ROUTER_DATA_" if service == "router-data" else "BATCHER_"
        for variable in variables:
            told = {twice[name].environment[prefix + variable] for name in (service, f"{service}-1")}
            assert len(told) == 2


def test_everybody_is_told_of_every_replica(twice: dict[str, Component], tmp_path: Path):
    front_door, data, batcher = twice["front-door"], twice["router-data-1"], twice["batcher-default-1"]

    def both(service: str, first: int, place: int = 0) -> str:
        return f"127.0.0.1:{first},{twice[f'{service}-1'].ports[place].address}"

    assert front_door.environment["FRONT_DOOR_TARGETS"].split(";")[:2] == [
        f"registry={both('registry', 8082)}",
        f"router-control={both('router-control', 8084)}",
    ]
    assert front_door.environment["FRONT_DOOR_ROUTER_EDGE"] == both("router-data", 8089)
    pools = f"default={both('batcher-default', 8090)};cpu=127.0.0.1:8092"
    assert data.environment["ROUTER_DATA_POOLS"] == pools
    for component, prefix in ((data, "ROUTER_DATA"), (batcher, "BATCHER")):
        target = component.environment[f"{prefix}_CONTROL_TARGET"]
        assert target == f"file:{tmp_path / 'run' / 'endpoints'}#router-control"
    for name in ("router-control", "router-control-1"):
        target = twice[name].environment["ROUTER_CONTROL_REGISTRY_TARGET"]
        assert target == f"file:{tmp_path / 'run' / 'endpoints'}#registry"


def test_a_stack_of_one_each_has_plain_names(tmp_path: Path):
    components = _components(tmp_path, ONE_OF_EACH)
    assert not [name for name in components if name.endswith("-1")]


def test_callers_find_whom_they_call_in_the_file_of_endpoints(tmp_path: Path):
    settings = StackSettings(checkout_of_this_file(), tmp_path, Ports(8080), data_plane=DataPlane.FRONT_DOOR)
    settings.create_directories()
    publish(settings)
    targets = [
        target.rpartition("=")[2]
        for component in topology.components(settings)
        for name, value in component.environment.items()
        if name.endswith(("_TARGET", "_HEALTH_TARGETS"))
        for target in value.split(";")
        if target  # of batchers, which the control plane knows
    ]
    assert len(targets) > 5
    assert {present_target(target).rpartition(":")[0] for target in targets} == {"127.0.0.1"}


def test_data_planes_run_in_front_doors_that_share_their_port(tmp_path: Path):
    components = _components(tmp_path, ALL_TWICE, DataPlane.FRONT_DOOR)
    assert not [name for name in components if name.startswith("router-data")]
    one, other = components["front-door"], components["front-door-1"]
    for door, number in ((one, 0), (other, 1)):
        assert door.environment["FRONT_DOOR_DATA_PLANE"] == "here"
        assert door.environment["FRONT_DOOR_PORT"] == "8080"
        assert door.environment["ROUTER_DATA_ID"] == f"data-{number}"
        assert door.environment["FRONT_DOOR_PROCESSES"] == "2"
    assert one.environment["FRONT_DOOR_STATE_DIR"] != other.environment["FRONT_DOOR_STATE_DIR"]
    assert not {port.number for port in one.ports} & {port.number for port in other.ports}


def test_data_planes_in_envoys_of_their_own_get_the_predictions_of_one_front_door(twice: dict[str, Component]):
    assert twice["front-door"].environment["FRONT_DOOR_PROCESSES"] == "1"
    for name, number in (("router-data", 0), ("router-data-1", 1)):
        told = twice[name].environment
        assert told["DATA_PLANE_PORT"] == str(twice[name].ports[0].number)
        assert (told["DATA_PLANE_PROCESSES"], told["ROUTER_DATA_ID"]) == ("2", f"data-{number}")
    assert twice["router-data"].environment["DATA_PLANE_STATE_DIR"] != told["DATA_PLANE_STATE_DIR"]


def test_data_planes_on_grpc_aio_need_no_envoy_of_their_own(tmp_path: Path):
    components = _components(tmp_path, ALL_TWICE, DataPlane.GRPC)
    assert components["router-data-1"].command[-1] == "headrace_router.data"
    assert components["front-door"].environment["FRONT_DOOR_ROUTER_EDGE"] == ""


def test_data_planes_run_in_the_front_door_unless_asked_otherwise():
    assert read({}).data_plane is DataPlane.FRONT_DOOR
    assert read({"HEADRACE_DATA_PLANE": "service"}).data_plane is DataPlane.SERVICE
    with pytest.raises(SettingsError, match="HEADRACE_DATA_PLANE"):
        read({"HEADRACE_DATA_PLANE": "elsewhere"})


def test_where_the_filter_is_not_built_predictions_are_answered_on_grpc_aio(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settings, "FILTER_BRIDGE", Path("deploy", "envoy", "filter_bridge", "not-built.so"))
    assert "not-built.so" in settings.not_loadable()
    assert read({}).data_plane is read({"HEADRACE_DATA_PLANE": "service"}).data_plane is DataPlane.GRPC
    with pytest.raises(SettingsError, match="filter for gRPC predictions is not built"):
        read({"HEADRACE_DATA_PLANE": "front-door"})
