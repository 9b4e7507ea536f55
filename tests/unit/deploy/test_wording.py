"""Which names of classes, and which words in what users see, `make lint` refuses."""

import ast
import importlib.util
from types import ModuleType

import pytest

from tests.kit.deployment.topology import CHECKOUT


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wording", CHECKOUT / "deploy" / "wording.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class Seen: ...", 1),
        ("class _Told(Exception): ...", 1),
        ("def f():\n    class Look: ...", 1),
        ("class Observation: ...\nSeen = 1", 0),
        ("class SeenRows: ...", 0),
    ],
)
def test_classes_with_names_that_say_nothing_are_found_wherever_they_are(source: str, expected: int):
    assert len(list(load().class_names(ast.parse(source)))) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("raise Error(f'nobody answers {model}')", 1),
        ("option(help='Whoever asks is told anew.')", 3),
        ('@click.command()\ndef list():\n    """Show whom to ask."""', 1),
        ('def f():\n    """Nobody sees this; whom it concerns is told."""', 0),
        ("told = {'told': 1}  # told", 0),
    ],
)
def test_idioms_are_found_in_what_users_see_alone(source: str, expected: int):
    assert len(list(load().sentences(ast.parse(source)))) == expected


def test_idioms_of_docstrings_and_comments_are_counted():
    source = '"""Nobody is told."""\nx = 1  # as somebody asked\nraise Error("whom it concerns")\n'
    assert load().idioms(source, ast.parse(source)) == 3
