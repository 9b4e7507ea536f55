"""The recipes stay commands that parse and scripts that compile; `make test-recipes` runs them."""

import ast

import click
import pytest
from headrace_client.cli import main

from tests.kit.clients import recipes
from tests.kit.clients.recipes import Page

EACH = pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in recipes.PAGES])


def test_the_index_names_every_page() -> None:
    index = recipes.INDEX.read_text()
    assert [page.name for page in recipes.PAGES if f"]({page.name}.md)" not in index] == []


@EACH
def test_a_page_goes_from_an_installation_to_a_prediction(page: Page) -> None:
    typed = [" ".join(command[:3]) for command in page.commands]
    assert typed[0].startswith("pip install ")
    steps = [f"headrace models {step}" for step in ("register", "gates", "promote")]
    assert typed[1:5] == ["python train.py", *steps]
    assert typed[5:] == [f"headrace predict {page.model}"]


@EACH
def test_a_script_compiles_and_writes_the_files_that_the_commands_name(page: Page) -> None:
    written = {node.value for node in ast.walk(ast.parse(page.script)) if isinstance(node, ast.Constant)}
    (register,) = [command for command in page.commands if command[1:3] == ["models", "register"]]
    assert register[5] in written
    assert "validation.json" in written
    assert ("rows.json" in written) is any("rows.json" in word for word in page.commands[-1])


@EACH
def test_the_commands_parse(page: Page, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in page.commands:
        if command[0] == "headrace":
            (tmp_path / "validation.json").touch()
            if command[1:3] == ["models", "register"]:
                (tmp_path / command[5]).touch()
            parse(main, command[1:])


def parse(command: click.Command, words: list[str]) -> None:
    """Let click read the words as it would, without running the command."""
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words))
