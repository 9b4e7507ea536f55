"""What the console can be told."""

from pathlib import Path

import pytest
from headrace_console.settings import ConsoleSettings
from pydantic import ValidationError

NEEDED = {"database_url": "postgresql://console@postgres/console", "front_door_target": "front-door:8080"}


def test_database_and_front_door_have_to_be_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CONSOLE_DATABASE_URL", raising=False)
    with pytest.raises(ValidationError, match=r"database_url[\s\S]*front_door_target"):
        ConsoleSettings()  # pyright: ignore[reportCallIssue]


def test_a_front_door_with_a_certificate_bears_the_name_that_people_know():
    told = {**NEEDED, "front_door_target": "https://front-door:8080", "url": "https://headrace.example.com/"}
    settings = ConsoleSettings(**told)  # pyright: ignore[reportArgumentType]
    assert settings.front_door_name == "headrace.example.com"
    assert settings.secure
    assert ConsoleSettings(**NEEDED).front_door_name == ""  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ({"front_door_target": "front-door:8080"}, "http://front-door:8080"),
        ({"front_door_target": "https://front-door:8080"}, "https://front-door:8080"),
        ({"front_door_target": "front-door:8080", "front_door_ca": Path("ca.pem")}, "https://front-door:8080"),
    ],
)
def test_a_bare_front_door_is_called_in_plain_text_by_whatever_name(told, address):
    """In containers it is a host of another name than loopback, which the SDK alone would call by TLS."""
    assert ConsoleSettings(**{**NEEDED, **told}).front_door_address == address
