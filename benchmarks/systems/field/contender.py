"""One system of the field: what it is called, how it is configured, how it is started; and its environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

from headrace_stack import environments

from benchmarks.checkout import ROOT
from benchmarks.load.calls import Call
from benchmarks.load.generator import Generator, Target
from benchmarks.load.workload import Workload
from benchmarks.measures.measuring import System
from benchmarks.measures.processes import families
from benchmarks.measures.scenarios import ONLINE, Scenario
from benchmarks.systems import references, subject

INFER = "infer"
_HEADRACE = ROOT / ".headrace"
ENVIRONMENTS = _HEADRACE / "field"
# Rows that must be answered rightly before anything is measured.
_ASKED_FIRST = 64


def rows(
    system: str, name: str, title: str, call: str = INFER, known_share: float = ONLINE
) -> tuple[Scenario, Scenario]:
    """Return what is measured of a system: one request in flight, and 8 connections with 32 in flight each.

    One comes first: batching that adapts to a load would otherwise still wait for it.
    """
    alone = Scenario(f"{name}-one", title, system, call, known_share, connections=1, streams=1)
    return alone, Scenario(name, title, system, call, known_share)


@dataclass(frozen=True, slots=True)
class Contender:
    """name: as `--only` knows it. how: its configuration, for readers of the table.

    environment: folder of its packages. packages: whose versions are reported. running: starts it in a folder of its
    own, yields it when it answers, and ends it.
    """

    name: str
    title: str
    how: str
    environment: Path
    packages: Sequence[str]
    running: Callable[[Path, subject.Model], AbstractContextManager[System]]
    rows: Sequence[Scenario] = field(default=())

    def scenarios(self) -> Sequence[Scenario]:
        """Return its rows."""
        return self.rows or rows(self.name, self.name, self.title)

    def versions(self) -> str:
        """Return the versions of its packages, as they are installed."""
        return versions(self.environment, self.packages)


def built(name: str) -> Path:
    """Build `.headrace/field/NAME` of its locked requirements, unless it is there. Raises CalledProcessError."""
    environment = ENVIRONMENTS / name
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    requirements = Path(__file__).parent / name / "requirements.txt"
    building = requirements.with_name("build-requirements.txt")
    environments.build(
        *(ROOT, str(environment.relative_to(_HEADRACE)), requirements),
        finish=lambda _environment: None,
        building=building if building.exists() else None,
    )
    return environment


def versions(environment: Path, packages: Sequence[str]) -> str:
    """Return names and versions of packages that are installed in an environment."""
    places = [str(place) for place in environment.glob("lib/python*/site-packages")]
    known = {one.name.lower(): one.version for one in distributions(path=places)}
    return ", ".join(f"{package} {known.get(package, 'not installed')}" for package in packages)


def answering(port: int, call: Call, processes: Mapping[str, int], log: Path, *, steady_s: float = 0.0) -> System:
    """Return a system that has answered. Raises BenchmarkError.

    processes: pids by name, the server's first. steady_s: how long it must have kept a connection.
    """
    target = Target(("127.0.0.1", port))

    def ask() -> None:
        subject.warm_up(target, call, known=_ASKED_FIRST)
        with Generator(target, call, Workload(range(_ASKED_FIRST)), connections=1) as generator:
            generator.closed(1, steady_s)

    references.until_answering(next(iter(processes.values())), log, ask)
    return System(lambda: target, {INFER: call}, partial(families, processes))
