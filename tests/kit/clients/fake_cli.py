"""The command line against a front door of fakes, as somebody whose address and token are in the environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from headrace_client.cli import main

from tests.kit.clients.fake_front_door import FrontDoor

Run = Callable[..., Result]


def command_line(door: FrontDoor, monkeypatch: pytest.MonkeyPatch, folder: Path, *before: str) -> Run:
    """Return what runs `headrace` with the words given, behind those that come before, in a folder."""
    monkeypatch.setenv("HEADRACE_ADDRESS", door.address)
    monkeypatch.setenv("HEADRACE_TOKEN", "t")
    monkeypatch.chdir(folder)

    def headrace(*words: str) -> Result:
        result = CliRunner().invoke(main, (*before, *words))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result

    return headrace


def document(result: Result) -> Any:
    """Return the one JSON document on stdout; nothing else may be there, nor anything on stderr."""
    assert result.stderr == ""
    return json.loads(result.stdout)
