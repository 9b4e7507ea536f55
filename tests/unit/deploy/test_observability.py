"""Scrape configuration, rules and dashboards are whole, and fit the topology and Compose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from headrace_client.cli import main

from tests.kit.deployment import compose_file, observability, topology
from tests.kit.deployment.observability import FOLDER, asked_of, dashboards

SERVICES = topology.services()
OWN = [name for name, service in SERVICES.items() if not service.store]
COMPOSE = compose_file.read(topology.CHECKOUT / "docker-compose.yml")["services"]
CONFIG = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("sum(rate(a_total[5m]))", {"a_total": set()}, id="a bare metric"),
        pytest.param('a{x="up", y!~"b{c}"}', {"a": {"x", "y"}}, id="texts are no names"),
        pytest.param("sum by (m) (a) / sum by (m) (b)", {"a": {"m"}, "b": {"m"}}, id="what is grouped by"),
        pytest.param("a * on (m, n) (x:y:1h > 0)", {"a": {"m", "n"}, "x:y:1h": {"m", "n"}}, id="recorded"),
        pytest.param("min_over_time(a[10m]) > 1e3 or b offset 1h", {"a": set(), "b": set()}, id="keywords"),
        pytest.param("rate(a[$__rate_interval])", {"a": set()}, id="variables of Grafana"),
    ],
)
def test_an_expression_is_taken_apart(expression: str, expected: dict[str, set[str]]):
    assert asked_of("here", expression).labels == expected


def test_every_replica_of_every_service_is_read_where_its_metrics_are():
    read = {job["job_name"]: job["dns_sd_configs"][0] for job in CONFIG["scrape_configs"]}
    assert set(read) == {*OWN, "envoy", "triton"}
    for name in OWN:
        aliases = {alias for network in _networks(name).values() for alias in (network or {}).get("aliases", [])}
        assert {*read[name]["names"]} <= {name, *aliases}
        assert read[name]["port"] == SERVICES[name].ports["metrics"]
        assert "calls" in _networks("prometheus")
    assert read["envoy"] == {**read["front-door"], "port": SERVICES["front-door"].ports["envoy-metrics"]}
    assert read["triton"]["port"] == SERVICES["batcher"].ports["triton-metrics"]


def test_in_kubernetes_the_jobs_have_the_same_names():
    text = (FOLDER / "prometheus" / "kubernetes.yml").read_text(encoding="utf-8")
    (job,) = yaml.safe_load(text)["scrape_configs"]
    named = [one for one in job["relabel_configs"] if one.get("target_label") == "job"]
    assert named[0]["source_labels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
    ports = next(one["regex"] for one in job["relabel_configs"] if one.get("regex", "").startswith("metrics"))
    assert set(ports.split("|")) == {"metrics", "envoy-metrics", "triton-metrics"}


def test_in_kubernetes_pods_that_have_ended_are_not_read():
    (job,) = yaml.safe_load((FOLDER / "prometheus" / "kubernetes.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (rule,) = [one for one in job["relabel_configs"] if one["source_labels"] == ["__meta_kubernetes_pod_phase"]]
    assert rule["action"] == "drop"
    ended = {phase for phase in ("Pending", "Running", "Succeeded", "Failed") if re.fullmatch(rule["regex"], phase)}
    assert ended == {"Succeeded", "Failed"}


def test_compose_gives_each_of_the_two_its_files_and_nobody_else_a_port():
    prometheus, grafana = COMPOSE["prometheus"], COMPOSE["grafana"]
    assert prometheus["profiles"] == grafana["profiles"] == ["observability"]
    mounted = {**_mounted(prometheus), **_mounted(grafana)}
    for source in mounted:
        assert (topology.CHECKOUT / source).exists(), source
    assert mounted["deploy/observability/prometheus/rules"] == str(Path(CONFIG["rule_files"][0]).parent)
    provider = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/headrace.yml").read_text())["providers"][0]
    assert mounted["deploy/observability/grafana/dashboards"] == provider["options"]["path"]
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    assert set(_networks("grafana")) & set(_networks("prometheus"))
    for one in (prometheus, grafana):
        assert all(port.startswith("127.0.0.1:") for port in one["ports"])


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_is_whole(name: str):
    board = dashboards()[name]
    assert board["uid"] == f"headrace-{name}"
    assert [panel["id"] for panel in board["panels"]] == list(range(1, len(board["panels"]) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", str(board["panels"])))
    assert used <= variables
    assert "datasource" in used


@pytest.mark.parametrize("name", dashboards())
def test_a_legend_names_labels_that_its_expression_leaves(name: str):
    for panel in dashboards()[name]["panels"]:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            left = set.intersection(*map(set, asked_of("", target["expr"]).labels.values()))
            assert named <= left, panel["title"]


def test_alerts_say_what_and_where_to_look_and_whom_to_wake():
    for name, rule in observability.rules().items():
        if "alert" in rule:
            assert name.startswith("Headrace")
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert set(rule["annotations"]) == {"summary", "look_at"}


def test_commands_that_alerts_name_can_be_typed_as_they_stand():
    told = [rule["annotations"]["look_at"] for rule in observability.rules().values() if "alert" in rule]
    named = [line for text in told for line in re.findall(r"headrace ((?:[a-z]+ ?)+(?:MODEL|POOL|\{\{.*?\}\})?)", text)]
    assert len(named) >= 5
    for line in named:
        words = line.replace("{{ $labels.model }}", "MODEL").split()
        command: click.Command = main
        while isinstance(command, click.Group):
            assert words, f"{line}: which of {command.list_commands(click.Context(command))}?"
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        # What follows a command that needs nothing is the rest of the sentence.
        needed = [argument for argument in command.params if isinstance(argument, click.Argument) and argument.required]
        assert words[: len(needed)] == [str(argument.name).upper() for argument in needed], line


def test_every_alert_is_tried_with_series_for_which_it_fires_and_with_others():
    told = yaml.safe_load((FOLDER / "prometheus" / "rules.test.yml").read_text(encoding="utf-8"))["tests"]
    tried = {(case["alertname"], bool(case["exp_alerts"])) for test in told for case in test.get("alert_rule_test", [])}
    alerts = [name for name, rule in observability.rules().items() if "alert" in rule]
    assert tried == {(name, fires) for name in alerts for fires in (True, False)}


def test_what_graphics_cards_do_is_among_the_metrics_of_the_triton_that_is_shipped():
    # There is none here that could be asked; the library that answers on one has the names in it.
    place = topology.CHECKOUT / ".headrace" / "triton-venv" / "lib"
    (library,) = place.glob("python3.*/site-packages/nvidia_pytriton.libs/libtritonserver-*.so")
    content = library.read_bytes()
    named = {metric for asked in observability.everything_asked() for metric in asked.labels if "nv_gpu" in metric}
    assert len(named) >= 3
    assert [name for name in (*named, "gpu_uuid") if not _holds(content, name.encode())] == []


def _holds(library: bytes, name: bytes) -> bool:
    """Whether a name is in it: whole, or as the compiler puts short ones into instructions, eight bytes at a time."""
    return name in library or all(name[at : at + 8] in library for at in range(0, len(name), 8))


def _networks(name: str) -> dict[str, Any]:
    told = COMPOSE[name]["networks"]
    return told if isinstance(told, dict) else dict.fromkeys(told)


def _mounted(service: dict[str, Any]) -> dict[str, str]:
    pairs = [volume.split(":") for volume in service["volumes"] if volume.startswith("./")]
    assert all(rest[-1] == "ro" for _, *rest in pairs)
    return {source.removeprefix("./"): target for source, target, _ in pairs}
