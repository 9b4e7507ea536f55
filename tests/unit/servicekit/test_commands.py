"""What stands beside a service on its command line."""

import argparse
import json
from pathlib import Path

import pytest
from headrace_servicekit.commands import Command, CommandError, Document, Incomplete, add_commands, execute, option
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.settings import ServiceSettings, settings_config


class Settings(ServiceSettings):
    model_config = settings_config("COMMANDS_TEST_")


async def save(settings: Settings, options: argparse.Namespace) -> Document:
    match options.out.name:
        case "full":
            raise CommandError("the folder is not empty")
        case "down":
            raise Unavailable("the database cannot be reached", reason="STORE_UNAVAILABLE")
        case "half":
            raise Incomplete({"missing": 1})
        case name:
            return {"folder": name, "log_level": settings.log_level}


COMMANDS = (Command("save", "write it down", save, (option("--out", type=Path, required=True, help="new"),)),)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="toy")
    add_commands(parser, COMMANDS)
    return parser.parse_args(words)


def test_without_a_word_the_service_itself_is_meant():
    assert parse().command is None


def test_a_command_prints_one_json_object(capsys: pytest.CaptureFixture[str]):
    options = parse("save", "--out", "new")
    assert execute("toy", options.command, Settings(log_level="error"), options) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": "new", "log_level": "error"}


def test_what_is_done_but_for_a_part_is_printed_and_is_no_success(capsys: pytest.CaptureFixture[str]):
    options = parse("save", "--out", "half")
    assert execute("toy", options.command, Settings(), options) == 3
    assert json.loads(capsys.readouterr().out) == {"missing": 1}


@pytest.mark.parametrize(
    ("folder", "told"), [("full", "the folder is not empty"), ("down", "the database cannot be reached")]
)
def test_a_failure_is_one_line_for_an_operator(capsys: pytest.CaptureFixture[str], folder: str, told: str):
    options = parse("save", "--out", folder)
    assert execute("toy", options.command, Settings(), options) == 1
    assert capsys.readouterr() == ("", f"toy: {told}\n")


@pytest.mark.parametrize("words", [("save",), ("sale", "--out", "new")], ids=["an option is missing", "no command"])
def test_wrong_usage_says_what_is_right(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]):
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    assert ended.value.code == 2
    assert "save" in capsys.readouterr().err
