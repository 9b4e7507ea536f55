"""Every command that a page shows is one of the command line."""

import re
import shlex
from pathlib import Path

import click
from headrace_client.cli import main
from headrace_console.pages import markup

from tests.kit.rows import each

HERE = Path(markup.__file__).parents[1]
SHOWN = re.compile(r"headrace (?!is\b)[a-z][^<`\"\n]*")
TEXTS = [*(HERE / "templates").glob("*.html"), *(HERE / "pages").glob("*.py")]
COMMANDS = sorted(
    {
        found.strip()
        for path in TEXTS
        for found in SHOWN.findall(path.read_text(encoding="utf-8"))
        if "import" not in found
    }
)


def plain(command: str) -> str:
    """Return a command with a word for what a page puts into it."""
    return re.sub(r"\{\{.*?\}\}|\{[^}]*\}", "NAME", command)


def words_of(command: str) -> list[str]:
    text = plain(command)
    return shlex.split(text.partition("{")[0])[1:] if "'" not in text else text.split("'")[0].split()[1:]


@each("command", COMMANDS)
def test_a_command_on_a_page_exists(command: str):
    at: click.Command = main
    options: list[str] = []
    for word in words_of(command):
        if word == "NAME":
            break  # groups such as `monitor drift` take a model where a command could stand
        if isinstance(at, click.Group) and not word.startswith("-"):
            found = at.get_command(click.Context(at), word)
            assert found is not None, f"{command}: no {word}; there is {at.list_commands(click.Context(at))}"
            at = found
        elif word.startswith("--"):
            options.append(word)
    known = {name for one in at.params for name in one.opts} | {"--help"}
    assert set(options) <= known, command
    is_whole = "--help" not in options and "'" not in plain(command)
    if not isinstance(at, click.Group) and is_whole:
        words = words_of(command)
        arguments = words[words.index(at.name or "") + 1 :]
        _, too_many, _ = at.make_parser(click.Context(at)).parse_args(arguments)
        assert not too_many, f"{command}: it takes no {too_many}"


@each("command", COMMANDS)
def test_no_word_of_a_command_is_left_to_whoever_reads_it(command: str):
    assert not re.search(r"\b[A-Z][A-Z_]{2,}\b", plain(command).replace("NAME", "")), command


@each("template", sorted((HERE / "templates").glob("*.html")))
def test_a_name_stands_in_a_command_as_a_shell_reads_it(template: Path):
    for command in re.findall(r"<code>headrace [^<]*</code>", template.read_text(encoding="utf-8")):
        for value in re.findall(r"\{\{(.*?)\}\}", command):
            assert value.strip().endswith("|typed"), command


def test_there_are_some():
    assert len(COMMANDS) > 15
