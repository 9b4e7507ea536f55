"""Where the seconds of a test run went, from its JUnit files: by folder, by fixture, by test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

SLOWEST = 50


@dataclass(frozen=True, slots=True)
class Case:
    """A test with its seconds, and those of the fixtures that were set up for it."""

    folder: str
    name: str
    seconds: float
    setups: tuple[tuple[str, float], ...]


def read(file: Path) -> list[Case]:
    """Return the tests of a JUnit file of pytest's. Raises ParseError when it is none."""
    return [_case(element) for element in ElementTree.parse(file).getroot().iter("testcase")]


def report(cases: Sequence[Case]) -> str:
    """Return the tables: seconds by folder, by fixture with how often it was set up, and the slowest tests."""
    folders = _summed((case.folder, case.seconds) for case in cases)
    fixtures = _summed(setup for case in cases for setup in case.setups)
    slowest = sorted(cases, key=lambda case: -case.seconds)[:SLOWEST]
    tests = [f"{case.seconds:8.1f}  {case.folder}/{case.name}" for case in slowest]
    return "\n".join(
        (
            f"{sum(case.seconds for case in cases):8.1f} s of workers in {len(cases)} tests",
            *("", " seconds  tests  folder", *folders),
            *("", " seconds  times  fixture set up", *fixtures[:SLOWEST]),
            *("", " seconds  test", *tests, ""),
        )
    )


def _summed(pairs: Iterable[tuple[str, float]]) -> list[str]:
    """Return a line for each name, the dearest first: seconds in all, how often, the name."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    for name, seconds in pairs:
        took[name].append(seconds)
    dearest = sorted(took, key=lambda name: -sum(took[name]))
    return [f"{sum(took[name]):8.1f}  {len(took[name]):5}  {name}" for name in dearest]


def _case(element: ElementTree.Element) -> Case:
    modules = element.get("classname", "").split(".")
    folder = "/".join(name for name in modules[:3] if not name.startswith("test_"))
    properties = [(one.get("name", ""), one.get("value", "")) for one in element.iter("property")]
    setups = tuple((name.removeprefix("setup:"), float(took)) for name, took in properties if name.startswith("setup:"))
    test = "::".join((*modules[folder.count("/") + 1 :], element.get("name", "")))
    return Case(folder, test, float(element.get("time", 0)), setups)
