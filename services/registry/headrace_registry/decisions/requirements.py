"""Requirements files of Python versions: every line names one exact wheel by version and SHA-256, and nothing else.

What a line of pip could say beyond that (other files, addresses, options, variables of the environment) would make two
installations of one file differ, or read what is not the version's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINES = 2000
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_NAMED = re.compile(rf"(?P<name>{_NAME})(?!\w)\s*(?P<extras>\[[A-Za-z0-9._, -]*\])?\s*(?P<rest>.*)")
# What begins with - after a blank is an option to pip, also behind a marker.
_MARKER = r";(?:(?!\s-)[\w\s.\"'<>=!()+-])*"
_EXACT = re.compile(rf"==\s*(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)\s*(?P<marker>{_MARKER})?")
_HASH = re.compile(r"--hash=(?P<kind>\w+):(?P<digest>\S*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class RequirementError(ValueError):
    """A line that may not stand there; the message begins with its number."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One package: its name as PyPI compares names, its exact version, and the digests of its wheels."""

    name: str
    version: str
    hashes: tuple[str, ...]


def parse(text: str) -> tuple[Requirement, ...]:
    """Return what a requirements file asks for. Raises RequirementError, naming the first line that is wrong."""
    found: dict[str, int] = {}
    requirements = []
    for number, line in _logical_lines(text):
        requirement = _of_line(number, line)
        if requirement.name in found:
            raise RequirementError(f"line {number}: '{requirement.name}' is also in line {found[requirement.name]}")
        found[requirement.name] = number
        requirements.append(requirement)
    return tuple(requirements)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield what is not empty, continued lines as one, with the number of its first line."""
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise RequirementError(f"line {MAX_LINES + 1}: there are {len(lines)} lines; at most {MAX_LINES}")
    begun, parts = 0, list[str]()
    for number, line in enumerate(lines, start=1):
        begun = begun if parts else number
        bare = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        continued = bare.endswith("\\")
        if bare and continued != line.endswith("\\"):
            raise RequirementError(f"line {number}: a backslash continues a line as its last character only")
        parts.append(bare.removesuffix("\\"))
        if not continued:
            if joined := " ".join(parts).strip():
                yield begun, joined
            parts = []
    if joined := " ".join(parts).strip():
        yield begun, joined


def _of_line(number: int, line: str) -> Requirement:
    place = f"line {number}"
    if line.startswith("-"):
        raise RequirementError(f"{place}: '{line.split()[0][:40]}' is an option: only packages may be named")
    package, *hashed = re.split(r" +(?=--)", line)
    named = _NAMED.fullmatch(package)
    if named is None:
        raise RequirementError(f"{place}: '{package[:60]}' is no name of a package: write name==version")
    name, rest = re.sub(r"[-_.]+", "-", named["name"]).lower(), named["rest"]
    if rest.startswith("@") or "://" in rest:
        raise RequirementError(f"{place}: '{name}' is asked for by an address: write {name}==version")
    exact = _EXACT.fullmatch(rest)
    if exact is None:
        raise RequirementError(f"{place}: '{name}' has no exact version: write {name}==version")
    return Requirement(name, exact["version"], _hashes(place, name, hashed))


def _hashes(place: str, name: str, options: list[str]) -> tuple[str, ...]:
    digests = []
    for option in options:
        found = _HASH.fullmatch(option.strip())
        if found is None:
            raise RequirementError(f"{place}: '{option[:40]}' may not stand there: only --hash=sha256:… may")
        if found["kind"] != "sha256" or _SHA256.fullmatch(found["digest"]) is None:
            raise RequirementError(f"{place}: a hash of '{name}' is not sha256: with 64 lower-case hexadecimal digits")
        digests.append(found["digest"])
    if not digests:
        raise RequirementError(
            f"{place}: '{name}' has no hash: lock the file, `uv pip compile --generate-hashes requirements.in`"
        )
    return tuple(digests)
