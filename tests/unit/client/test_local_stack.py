"""The stack of a checkout is found from inside it and by its own Python, with the port that it last had."""

from pathlib import Path

import pytest
from headrace_client.local_stack import LocalStack, default_address


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose stack has run on port 9080."""
    for folder, name, text in (("identity", "issuer.key.pem", "key"), ("run", "status.json", '{"base_port": 9080}')):
        path = tmp_path / ".headrace" / folder
        path.mkdir(parents=True)
        (path / name).write_text(text)
    return tmp_path


def test_the_front_door_is_the_one_of_the_stack_around_us(checkout: Path) -> None:
    below = checkout / "examples"
    below.mkdir()
    assert default_address({}, below) == "127.0.0.1:9080"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"HEADRACE_ADDRESS": "https://models.example.com"}, "https://models.example.com", id="address"),
        pytest.param({"HEADRACE_BASE_PORT": "7080"}, "127.0.0.1:7080", id="base port"),
        pytest.param({"HEADRACE_STATE_DIR": "/nowhere"}, "127.0.0.1:8080", id="a stack that never ran"),
    ],
)
def test_what_the_environment_says_comes_first(checkout: Path, environ: dict[str, str], expected: str) -> None:
    assert default_address(environ, checkout) == expected


def test_the_python_of_a_checkout_finds_its_stack_from_anywhere(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert default_address({}, elsewhere, environment=checkout / ".venv") == "127.0.0.1:9080"


def test_the_stack_around_us_comes_before_the_one_of_our_python(checkout: Path, tmp_path: Path) -> None:
    assert LocalStack.find({}, checkout, environment=tmp_path / "other" / ".venv") == LocalStack(checkout / ".headrace")


def test_outside_a_checkout_there_is_a_default(tmp_path: Path) -> None:
    environment = tmp_path / ".venv"
    assert LocalStack.find({}, tmp_path, environment) is None
    assert default_address({}, tmp_path, environment) == "127.0.0.1:8080"


@pytest.mark.parametrize("content", ["", "{", "{}", '{"base_port": "x"}'])
def test_a_status_file_that_says_nothing_is_no_error(checkout: Path, content: str) -> None:
    (checkout / ".headrace" / "run" / "status.json").write_text(content)
    assert default_address({}, checkout) == "127.0.0.1:8080"
