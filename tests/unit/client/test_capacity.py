"""`headrace capacity`: from options to lines."""

import json

import pytest
from click.testing import CliRunner, Result
from headrace_client.cli import main


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["capacity", *words])


def test_options_become_lines_with_formulas():
    shown = run("--daily", "200M", "--capacity", "500")
    assert shown.exit_code == 0, shown.output
    assert "⌈13.89 × (1 + 0.3)⌉" in shown.stdout
    told = json.loads(run("--qps", "10k", "--cache-share", "0.8", "--replicas", "4", "--json").stdout)
    by_name = {line["name"]: line for line in told["lines"]}
    assert by_name["online at peak"]["value"] == pytest.approx(2000.0)
    assert by_name["replicas"]["value"] == 6
    assert "no head-room" in by_name["replicas"]["remark"]


def test_options_come_before_the_example():
    told = json.loads(run("--example", "--headroom", "0", "--json").stdout)
    assert {line["name"]: line["value"] for line in told["lines"]}["replicas"] == 14


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give --daily, --qps, --measure MODEL or --example"),
        (("--daily", "many"), "is no count"),
        (("--daily", "0"), "must be a positive number"),
        (("--daily", "1M", "--curve", "8=fast"), "is no duration"),
        (("--daily", "1M", "--cache-share", "1"), "cache-share"),
    ],
)
def test_numbers_that_cannot_be_are_refused(words: tuple[str, ...], message: str):
    refused = run(*words)
    assert refused.exit_code != 0
    assert message in " ".join(refused.output.split())
