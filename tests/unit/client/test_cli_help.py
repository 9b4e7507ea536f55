"""Every command teaches: its help has examples, and the examples are commands that parse."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from headrace_client.cli import main

from tests.kit.rows import each


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, (*path, name))


ALL = [pytest.param(path, command, id=" ".join(("headrace", *path))) for path, command in commands(main)]


def examples_of(help_text: str) -> list[str]:
    """Return the lines below `Examples:`, continued ones joined."""
    _, _, below = help_text.partition("Examples:\n")
    lines = below.split("\n\n")[0].replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip()]


@each("path,command", ALL)
def test_the_help_of_a_command_has_an_example(path: tuple[str, ...], command: click.Command) -> None:
    shown = CliRunner().invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    assert examples_of(shown.output), f"{' '.join(path)} shows no example"


@pytest.mark.parametrize(("path", "command"), ALL)
def test_the_examples_of_a_command_are_commands_that_parse(
    path: tuple[str, ...], command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default.json").write_text('{"scores": [0]}')
    (tmp_path / "popular.json").write_text('{"ada": {"scores": [1]}}')
    outcomes = ("labels.csv", "bought.jsonl", "churned.parquet")
    models = (
        "model.onnx",
        "model.ubj",
        "model.pkl",
        "churn.pkl",
        "city.cbm",
        "digits.pt2",
        "scripted.pt",
        "pipeline.yaml",
        "rows.csv",
        "rows.json",
    )
    given = ("contract.json", "answers.parquet", "answers.jsonl", "routing.key", "rollout.yaml", "model.sig")
    keys = ("release.pem", "release.pub", "ann.pem", "ann.crt", "intermediate.crt", "authority.crt")
    for name in (*models, *given, *outcomes, *keys):
        (tmp_path / name).write_bytes(b"something")
    for folder in ("mlruns/churn", "handler", "models/digits", "models/recommendation_model"):
        (tmp_path / folder).mkdir(parents=True)
    for example in examples_of(CliRunner().invoke(main, [*path, "--help"]).output):
        words = shlex.split(example.split(" >")[0])
        assert words[0] == "headrace"
        parse(main, words[1:])


def parse(command: click.Command, words: list[str]) -> None:
    """Let click read the words as it would, without running the command."""
    context = click.Context(command)
    while isinstance(command, click.Group) and words and (child := command.get_command(context, words[0])):
        command, words = child, words[1:]
    command.make_context(command.name, list(words))


@each("path,command", ALL)
def test_every_command_can_answer_in_json(path: tuple[str, ...], command: click.Command) -> None:
    if not isinstance(command, click.Group):
        assert "--json" in [option for parameter in command.params for option in parameter.opts]


def test_the_exit_codes_are_in_the_help() -> None:
    words = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    for code in range(8):
        assert f"{code} " in words.partition("Exit codes:")[2]
