"""Prometheus itself takes configuration, rules and every expression. It has no wheel: runs where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.kit.observability import FOLDER, RULES, dashboards

PROMTOOL = shutil.which("promtool")
PROMETHEUS = FOLDER / "prometheus"

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here (Debian: promtool, or prometheus)")


def promtool(*arguments: object) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_rules():
    promtool("check", "rules", "--lint-fatal", *RULES)


def test_the_rules_do_what_is_said_of_them():
    promtool("test", "rules", PROMETHEUS / "rules.test.yml")


def test_the_configuration_of_compose_is_one(tmp_path: Path):
    text = (PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/etc/prometheus", str(PROMETHEUS)), encoding="utf-8")
    promtool("check", "config", "--lint-fatal", config)


def test_the_piece_for_kubernetes_is_one():
    promtool("check", "config", "--syntax-only", PROMETHEUS / "kubernetes.yml")


def test_every_expression_of_a_dashboard_is_one(tmp_path: Path):
    expressions = [
        re.sub(r"\$__rate_interval", "1m", re.sub(r'"\$\w+"', '".*"', target["expr"]))
        for board in dashboards().values()
        for panel in board["panels"]
        for target in panel["targets"]
    ]
    recorded = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8")
    promtool("check", "rules", file)
