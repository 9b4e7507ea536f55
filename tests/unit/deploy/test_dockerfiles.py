"""What holds for every Dockerfile: pinned, without root, without a shell between Docker and the process."""

import json
import os
import re
import tomllib
from pathlib import Path, PurePosixPath

import pytest
from front_door import offered

from tests.kit.deployment import compose_file
from tests.kit.deployment.topology import CHECKOUT
from tests.kit.rows import each

DOCKERFILES = sorted(path for path in (CHECKOUT / "deploy").rglob("*Dockerfile"))
BASE = "python:3.11-slim-bookworm"
Instruction = tuple[str, str]


def instructions(path: Path) -> list[Instruction]:
    """Return (keyword, rest) of each instruction; continued lines are one."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines()]


def stages(path: Path) -> dict[str, list[Instruction]]:
    """Return the instructions of each stage with those of the stage that it begins with; the last may be nameless."""
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for keyword, rest in instructions(path):
        if keyword == "FROM":
            base, _, name = rest.partition(" AS ")
            current = found[name or "last"] = [*found.get(base, [])]
        current.append((keyword, rest))
    return found


def targets(path: Path) -> list[str]:
    """Return the stages that become images."""
    services = compose_file.read(CHECKOUT / "docker-compose.yml")["services"].values()
    builds = [service["build"] for service in services if "build" in service]
    ours = [build for build in builds if CHECKOUT / build["dockerfile"] == path]
    return sorted({build.get("target", "last") for build in ours})


IMAGES = [(path, target) for path in DOCKERFILES for target in targets(path)]


def test_every_dockerfile_makes_an_image_of_compose():
    assert DOCKERFILES
    assert {path for path, _ in IMAGES} == set(DOCKERFILES)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_the_one_foreign_image_is_pinned_and_nothing_else_is_fetched_by_docker(path: Path):
    text = path.read_text()
    assert f"ARG BASE={BASE}\n" in text
    # A syntax line would make every build fetch an image.
    assert not text.startswith("# syntax")
    assert ":latest" not in text
    names = {"${BASE}", *stages(path)}
    assert {rest.split()[0] for keyword, rest in instructions(path) if keyword == "FROM"} <= names
    assert "ADD" not in {keyword for keyword, _ in instructions(path)}


@each("path,target", IMAGES)
def test_an_image_runs_as_nobody_in_particular_and_starts_its_process_itself(path: Path, target: str):
    told = stages(path)[target]
    last = dict(told)
    assert last["USER"] == "10001:10001"
    assert json.loads(last["ENTRYPOINT"])
    # Nothing is built where it runs.
    assert not any(keyword == "RUN" and re.search(r"\b(uv|pip|apt-get|apt)\b", rest) for keyword, rest in told)


@each("path,target", IMAGES)
def test_an_image_carries_the_licence_and_the_notice(path: Path, target: str):
    assert ("COPY", "LICENSE NOTICE /opt/headrace/") in stages(path)[target]


# The others are run by people, and end.
RUN_ON = [(path, target) for path, target in IMAGES if target not in ("tools", "demo")]


@pytest.mark.parametrize(("path", "target"), RUN_ON, ids=lambda value: getattr(value, "name", value))
def test_what_runs_on_says_how_it_is(path: Path, target: str):
    (check,) = [rest for keyword, rest in stages(path)[target] if keyword == "HEALTHCHECK"][-1:]
    assert json.loads(check.partition("CMD ")[2])


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_no_secret_is_an_argument_or_a_variable(path: Path):
    for keyword, rest in instructions(path):
        if keyword in ("ARG", "ENV"):
            assert not re.search(r"PASSWORD|SECRET|TOKEN", rest)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_python_packages_are_those_of_the_lock_files(path: Path):
    for keyword, rest in instructions(path):
        for command in rest.split("&&") if keyword == "RUN" else ():
            if re.search(r"\buv sync\b", command):
                assert "--frozen" in command
            if re.search(r"\bpip install\b", command) and "./libs/" not in command:
                assert "--require-hashes" in command


def test_only_what_images_are_built_from_reaches_the_builder():
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line for line in ignored if line.startswith("!")} == {
        "!LICENSE", "!NOTICE", "!deploy", "!examples", "!libs", "!services", "!pyproject.toml", "!uv.lock",
    }  # fmt: skip


def workspace_libraries(folder: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Return the folders of `libs/` that a package with some extras needs, and those that they need."""
    project = tomllib.loads((CHECKOUT / folder / "pyproject.toml").read_text())["project"]
    optional = project.get("optional-dependencies", {})
    needed = [*project["dependencies"], *(one for extra in extras for one in optional.get(extra, ()))]
    found = set[str]()
    for name, asked in re.findall(r"^headrace-(\w+)(?:\[(.*?)\])?", "\n".join(needed), re.MULTILINE):
        if f"libs/{name}" != folder:
            found |= {f"libs/{name}", *workspace_libraries(f"libs/{name}", frozenset(asked.split(",")))}
    return found


def test_an_image_is_built_with_every_library_that_its_services_need():
    copied = {path: set(re.findall(r"^COPY (libs/\w+) \1$", path.read_text(), re.M)) for path in DOCKERFILES}
    services = {f"services/{path.name}" for path in (CHECKOUT / "services").iterdir() if path.is_dir()}
    assert set.union(*map(workspace_libraries, services)) <= copied[CHECKOUT / "deploy" / "service.Dockerfile"]
    assert workspace_libraries("services/router") <= copied[CHECKOUT / "deploy" / "envoy" / "Dockerfile"]
    assert workspace_libraries("libs/client", frozenset({"all"})) <= copied[CHECKOUT / "deploy" / "tools.Dockerfile"]


def test_the_front_door_finds_the_topology_in_its_image_where_its_code_looks_for_it():
    copied = dict(
        rest.rsplit(maxsplit=1)
        for keyword, rest in instructions(CHECKOUT / "deploy" / "envoy" / "Dockerfile")
        if keyword == "COPY"
    )
    code = PurePosixPath(copied["deploy/envoy/front_door"])
    from_code = os.path.relpath(offered.TOPOLOGY, Path(offered.__file__).parent)
    assert os.path.normpath(code / from_code) == copied["deploy/topology.toml"]
