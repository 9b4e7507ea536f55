"""What the logs of components look like to people and to programs."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from headrace_stack import loglines
from headrace_stack.cli import commands
from hypothesis import given
from hypothesis import strategies as st

RPC = {
    "method": "/headrace.registry.v1.RegistryService/GetModel",
    "code": "NOT_FOUND",
    "ms": 2.483,
    "trace_id": "",
    "client": None,
    "event": "rpc",
    "level": "info",
    "ts": "2026-11-28T22:09:15.813395Z",
    "service": "registry",
}


def shown(fields: Mapping[str, object]) -> str:
    return loglines.readable("registry", json.dumps(fields), width=8)


def test_a_line_begins_with_its_time_its_log_and_what_happened():
    assert shown(RPC) == (
        "22:09:15.813  registry  rpc  method=/headrace.registry.v1.RegistryService/GetModel  code=NOT_FOUND  ms=2.483"
    )


def test_a_time_without_a_fraction_keeps_the_columns():
    assert shown({"event": "x", "ts": "2026-11-28T22:09:15Z"}).startswith("22:09:15.000  registry  x")


def test_values_with_spaces_are_quoted_and_lists_are_json():
    assert shown({"event": "x", "reason": "a pool has no batcher", "ports": [1, 2]}).endswith(
        'x  reason="a pool has no batcher"  ports=[1, 2]'
    )


@pytest.mark.parametrize(("level", "start"), [("warning", "\x1b[33m"), ("error", "\x1b[31m")])
def test_what_is_wrong_is_said_and_coloured(level: str, start: str):
    line = shown({"event": "x", "level": level})
    assert line.startswith(start)
    assert f"{level.upper()} x" in line


def test_an_exception_keeps_its_lines_below():
    line = shown({"event": "unhandled error", "exception": "Traceback:\n  File\nKeyError: 'row'"})
    assert line.splitlines()[1:] == ["    Traceback:", "      File", "    KeyError: 'row'"]


@pytest.mark.parametrize("text", ["1:M # Valkey is now ready", "[1, 2]", '{"cut', "[" * 100_000])
def test_lines_of_other_programs_are_shown_as_they_are(text: str):
    assert loglines.readable("valkey", text, width=6) == f"{' ' * 12}  valkey  {text}"
    assert json.loads(loglines.as_json("valkey", text)) == {"log": "valkey", "event": text}


def test_a_line_for_programs_says_from_which_log_it_is():
    assert json.loads(loglines.as_json("batcher-cpu", json.dumps(RPC))) == {**RPC, "log": "batcher-cpu"}


@given(text=st.text() | st.dictionaries(st.sampled_from(["event", "x", "ts"]) | st.text(), st.text()).map(json.dumps))
def test_nothing_that_is_logged_steers_the_terminal(text: str):
    line = loglines.readable("registry", text)
    assert all(one.isprintable() or one == "\t" for one in line)


def test_the_last_lines_of_each_log_are_shown_and_those_that_come(tmp_path: Path):
    files = [tmp_path / "registry.log", tmp_path / "s3.log"]
    for file in files:
        file.write_text("\n".join(f"{file.stem} {number}" for number in range(5)) + "\n\n")
    last = [("registry", "registry 4"), ("s3", "s3 4")]
    assert list(loglines.tailed(files, count=2, follow=False)) == last
    lines = loglines.tailed(files, count=2, follow=True)
    assert [next(lines), next(lines)] == last
    with files[0].open("a") as log:
        log.write("one more\n")
    assert next(lines) == ("registry", "one more")
    lines.close()


@pytest.mark.parametrize("names", [(), ("registry",)])
def test_the_command_shows_logs_for_people_and_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
):
    monkeypatch.setenv("HEADRACE_STATE_DIR", str(tmp_path))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "registry.log").write_text(json.dumps(RPC) + "\n")
    told = CliRunner().invoke(commands, ["logs", *names])
    assert told.output == f"{loglines.readable('registry', json.dumps(RPC))}\n"
    told = CliRunner().invoke(commands, ["logs", "--json", *names])
    assert [json.loads(line) for line in told.output.splitlines()] == [{**RPC, "log": "registry"}]
