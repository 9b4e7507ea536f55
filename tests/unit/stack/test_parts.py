"""Which parts run where somebody says `make up PARTS=…`, and what of them calls whom."""

from pathlib import Path

import pytest
from headrace_stack import description, parts, settings, topology
from headrace_stack.description import DescriptionError
from headrace_stack.parts import Part, PartsError
from headrace_stack.ports import Ports
from headrace_stack.settings import DataPlane, SettingsError, StackSettings

from tests.kit.deployment.topology import CHECKOUT, services

pytestmark = pytest.mark.skipif(parts.startable(services()) == ("core",), reason="only the core is in this checkout")
CORE = ("front-door", "registry", "router-control", "batcher", "batcher-cpu", "postgres", "valkey", "s3")


def stack(tmp_path: Path, *named: str, data_plane: DataPlane = DataPlane.FRONT_DOOR) -> StackSettings:
    made = StackSettings(checkout=CHECKOUT, home=tmp_path, ports=Ports(9080), parts=named, data_plane=data_plane)
    made.create_directories()
    return made


def test_the_core_is_what_has_no_other_part_and_calls_none():
    core = parts.installed(services(), ("core",))
    assert tuple(core) == CORE
    assert {call.callee for one in core.values() for call in one.calls} <= {*CORE}


def test_where_no_part_is_named_all_are_installed():
    assert parts.installed(services(), ()) == services()
    assert parts.absent(services(), ()) == ()


def test_a_part_brings_those_that_its_services_call_and_the_core_brings_none():
    assert parts.chosen("core", services()) == ("core",)
    assert parts.chosen("observe", services()) == ("core", "observe")
    assert parts.chosen(" release ,core", services()) == ("core", "observe", "release")
    assert parts.absent(services(), ("core", "observe", "release")) == ("scale", "bulk", "console")


def test_what_is_no_part_and_what_has_nothing_to_start_is_refused_by_name():
    with pytest.raises(PartsError, match="monitor, forge is no part that can be started: core, observe, release"):
        parts.chosen("core,monitor,forge", services())
    with pytest.raises(SettingsError, match="HEADRACE_PARTS=obsrve: obsrve is no part"):
        settings.read({"HEADRACE_PARTS": "obsrve"})


def test_each_part_says_what_it_is_for_and_a_service_of_no_part_is_refused():
    text = '[parts.core]\npurpose = "serves"\n[parts.more]\npurpose = "adds"\nfolders = ["more"]\n'
    assert parts.parsed(text)["more"] == Part("more", "adds", ("more",))
    with pytest.raises(DescriptionError, match=r"parts: .*colour"):
        parts.parsed('[parts.core]\ncolour = "red"\n')
    whole = description.path_in(CHECKOUT).read_text(encoding="utf-8")
    with pytest.raises(DescriptionError, match="scorer: part bulky is not one of bulk, console, core"):
        description.parsed(whole.replace('part = "bulk"', 'part = "bulky"'))


def test_of_the_core_alone_nothing_is_started_and_nobody_is_called_that_is_not_there(tmp_path: Path):
    made = {one.name: one for one in topology.components(stack(tmp_path, "core"))}
    assert {*made} == {
        "postgres",
        "valkey",
        "s3",
        "registry",
        "router-control",
        "batcher-default",
        "batcher-cpu",
        "front-door",
    }
    told = {name: value for one in made.values() for name, value in one.environment.items()}
    assert not [name for name in told if name.endswith(("MONITOR_TARGET", "AUTOSCALER_TARGET"))]
    assert told["FRONT_DOOR_PARTS"] == "core"
    for where in (told["FRONT_DOOR_TARGETS"], told["ROUTER_CONTROL_HEALTH_TARGETS"]):
        assert "registry" in where
        assert not [name for name in ("monitor", "rollout", "autoscaler", "scorer", "console") if name in where]


def test_of_the_whole_every_one_reports_to_the_monitor(tmp_path: Path):
    made = {one.name: one for one in topology.components(stack(tmp_path))}
    assert {"monitor", "rollout", "autoscaler", "scorer", "console"} < {*made}
    assert {"ROUTER_DATA_MONITOR_TARGET", "ROUTER_DATA_AUTOSCALER_TARGET"} < {*made["front-door"].environment}


def test_only_what_is_installed_scales(tmp_path: Path):
    assert {*topology.scalable(stack(tmp_path, "core"))} == {"front-door", "registry", "router-control"}
