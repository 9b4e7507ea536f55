"""What Grafana reads is what Grafana knows, by the schema that its makers publish. None of their images was at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.kit.deployment import compose_file, topology
from tests.kit.deployment.observability import FOLDER, dashboards

PROVISIONING = FOLDER / "grafana" / "provisioning"
# Grafana writes it beside the query of a variable, and reads it; the published schema leaves it out.
BESIDE_THE_SCHEMA = {"definition"}
# https://grafana.com/docs/grafana/latest/administration/provisioning/
SOURCE = {
    *("name", "type", "access", "orgId", "uid", "url", "user", "database", "basicAuth", "basicAuthUser"),
    *("withCredentials", "isDefault", "correlations", "jsonData", "secureJsonData", "version", "editable"),
}
PROVIDER = {
    *("name", "orgId", "folder", "folderUid", "type", "disableDeletion", "updateIntervalSeconds", "allowUiUpdates"),
    "options",
}


@pytest.mark.parametrize("name", dashboards())
def test_every_field_of_a_dashboard_is_one_that_grafana_keeps(name: str):
    register_default_plugins()
    board = dashboards()[name]
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert list(lost(board, kept)) == []


def test_a_field_that_grafana_does_not_know_is_found():
    assert list(lost({"panels": [{"titel": "a", "id": 1}]}, {"panels": [{"id": 1}]})) == ["/panels/0/titel"]
    assert list(lost({"refresh": "5s"}, {"refresh": None})) == ["/refresh"]


def lost(given: Any, kept: Any, at: str = "") -> Iterator[str]:
    """Yield where something given is not kept as it is."""
    if isinstance(given, Mapping) and isinstance(kept, Mapping):
        for name, value in given.items():
            if name in kept:
                yield from lost(value, kept[name], f"{at}/{name}")
            elif name not in BESIDE_THE_SCHEMA:
                yield f"{at}/{name}"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, value in enumerate(given):
            yield from lost(value, kept[index], f"{at}/{index}")
    elif given != kept:
        yield at


@pytest.mark.parametrize(
    ("file", "entries", "known"),
    [("datasources/prometheus.yml", "datasources", SOURCE), ("dashboards/headrace.yml", "providers", PROVIDER)],
)
def test_what_is_provisioned_has_fields_that_grafana_reads(file: str, entries: str, known: Set[str]):
    told = yaml.safe_load((PROVISIONING / file).read_text(encoding="utf-8"))
    assert set(told) == {"apiVersion", entries}
    assert told["apiVersion"] == 1
    for one in told[entries]:
        assert {"name", "type"} <= set(one) <= known


def test_the_page_that_it_opens_with_is_there():
    grafana = compose_file.read(topology.CHECKOUT / "docker-compose.yml")["services"]["grafana"]
    page = PurePosixPath(compose_file.environment(grafana)["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "headrace.yml").read_text())["providers"]
    assert str(page.parent) == provider["options"]["path"]
    assert page.stem in dashboards()
