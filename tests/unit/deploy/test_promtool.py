"""Prometheus itself takes configuration, rules and every expression."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from headrace_stack import debian_programs

from tests.kit.deployment.observability import FOLDER, RULES, panels
from tests.kit.deployment.topology import CHECKOUT

PROMTOOL = debian_programs.find(CHECKOUT, "promtool")
PROMETHEUS = FOLDER / "prometheus"

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="NOT CHECKED: no promtool of Debian here, see `make test`")


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
    recorded = [{"record": f"panel:{number}", "expr": expr} for number, (_, expr) in enumerate(panels())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8")
    promtool("check", "rules", file)


def test_the_query_that_an_adapter_makes_of_its_rule_is_one(tmp_path: Path):
    (rule,) = yaml.safe_load((PROMETHEUS / "adapter.yml").read_text(encoding="utf-8"))["externalRules"]
    query = rule["metricsQuery"].replace("<<.Series>>", "autoscaler_desired_replicas")
    query = query.replace("<<.LabelMatchers>>", 'pool="default"')
    file = tmp_path / "adapter.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "adapter", "rules": [{"record": "wanted", "expr": query}]}]}))
    promtool("check", "rules", file)
