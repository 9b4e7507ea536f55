"""The parts of the product as the description, Compose and Kubernetes have them, and how one is taken out."""

from pathlib import Path

import yaml
from headrace_stack import description, parts

from deploy.topology import installed, removal
from tests.kit.deployment import compose_file
from tests.kit.deployment.kubernetes import write_variant
from tests.kit.deployment.kustomize import build
from tests.kit.deployment.topology import CHECKOUT, services

PARTS = parts.of(CHECKOUT)
CORE = parts.installed(services(), ("core",))
TEXT = description.path_in(CHECKOUT).read_text(encoding="utf-8")


def test_each_folder_is_there_and_is_of_one_part():
    named = [(folder, part.name) for part in PARTS.values() for folder in part.folders]
    assert not [pair for pair in named if not (CHECKOUT / pair[0]).exists()]
    assert len(dict(named)) == len(named)


def test_the_services_of_a_part_are_among_its_folders():
    for service in services().values():
        if service.part != "core" and service.package:
            assert f"services/{service.package.removeprefix('headrace_')}" in PARTS[service.part].folders, service.name


def test_compose_starts_the_core_alone_where_its_file_is_laid_over_and_has_a_profile_for_each_other_part():
    over = compose_file.read(CHECKOUT / "docker-compose.core.yml")["services"]
    whole = compose_file.read(CHECKOUT / "docker-compose.yml")["services"]
    assert not over.keys() - whole.keys()
    profiles = {name: one["profiles"] for name, one in over.items() if "profiles" in one}
    assert profiles["monitor"] == profiles["init-monitor"] == ["observe"]
    assert {name for name in services() if name not in profiles} == {*CORE}
    started = {name for name, one in whole.items() if not one.get("profiles") and name not in profiles}
    assert not [name for name in started if {*whole[name].get("depends_on", ())} - started]
    assert over["front-door"]["environment"]["FRONT_DOOR_PARTS"] == "core"
    assert over["front-door"]["environment"]["ROUTER_DATA_MONITOR_TARGET"] == ""


def test_more_than_the_core_is_told_of_what_is_there():
    observed = yaml.safe_load(installed.compose(services(), ("core", "observe")))["services"]
    assert "monitor" not in observed
    assert observed["console"] == {"profiles": ["console"]}
    assert observed["front-door"]["environment"] == {
        "FRONT_DOOR_PARTS": "core,observe",
        "ROUTER_DATA_AUTOSCALER_TARGET": "",
    }
    assert "headrace.monitor.v1" in observed["router-control"]["environment"]["ROUTER_CONTROL_HEALTH_TARGETS"]


def test_kubernetes_has_no_workload_of_another_part_behind_the_component_of_the_core(tmp_path: Path):
    made = build(write_variant(tmp_path, ("mutual-tls", "core")))
    workloads = {one.name for one in made if one.kind in ("Deployment", "StatefulSet", "Service", "NetworkPolicy")}
    assert {"front-door", "registry", "batcher"} < workloads
    assert not workloads & {"monitor", "rollout", "autoscaler", "scorer", "console"}
    told = {one.name: made[one]["data"] for one in made if one.kind == "ConfigMap"}
    assert told["front-door"]["FRONT_DOOR_PARTS"] == "core"
    assert told["front-door"]["ROUTER_DATA_MONITOR_TARGET"] == ""


def test_a_description_without_parts_is_that_of_the_rest():
    absent = [name for name, service in services().items() if service.part != "core"]
    text = removal.without(TEXT, [name for name in PARTS if name != "core"], absent)
    assert [*parts.parsed(text)] == ["core"]
    assert description.parsed(text) == CORE
    assert text.splitlines()[0] == TEXT.splitlines()[0]


def test_the_workspace_forgets_a_library_that_is_taken_out():
    extras = 'scale = ["headrace-scale"]\nforge = ["headrace-forge"]\n'
    assert removal.without_libraries(extras, ["scale"]) == 'forge = ["headrace-forge"]\n'
    text = (
        'a = [\n    "headrace-scaling",\n    "headrace-client[parquet]",\n]\nheadrace-scaling = { workspace = true }\n'
    )
    assert removal.without_libraries(text, ["scaling"]) == 'a = [\n    "headrace-client[parquet]",\n]\n'
