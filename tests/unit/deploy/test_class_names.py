"""Which names of classes `make lint` refuses."""

import importlib.util
from types import ModuleType

import pytest

from tests.kit.deployment.topology import CHECKOUT


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("class_names", CHECKOUT / "deploy" / "class_names.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class Seen: ...", ["Seen"]),
        ("class _Told(Exception): ...", ["_Told"]),
        ("def f():\n    class Look: ...", ["Look"]),
        ("class Observation: ...\nSeen = 1", []),
        ("class SeenRows: ...", []),
    ],
)
def test_classes_with_names_that_say_nothing_are_found_wherever_they_are(source: str, expected: list[str]):
    assert list(load().banned_in(source)) == expected
