"""Writes down every setting of everything that is started, from the classes that read them.

python deploy/settings.py generate    write docs/settings.md, for people, and deploy/settings.json, for programs
python deploy/settings.py check       fail when they are not what the classes say
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from headrace_servicekit.described import Described, described
from headrace_servicekit.settings import StrictSettings
from headrace_stack import description

ROOT = Path(__file__).resolve().parent.parent
PAGE, LIST = ROOT / "docs" / "settings.md", ROOT / "deploy" / "settings.json"

# A setting that this many classes have alike is in the first table, once.
COMMON = 4

# What is started in other ways than in the list of services, with what reads it.
ELSEWHERE = {"front_door.alone:DataPlaneSettings": "a data plane in an Envoy of its own"}

_HEAD = """# Settings

Settings of everything that is started: environment variables, the same in the wheel stack
(`make up`), in Compose and in Kubernetes. An unknown name with a prefix, or an invalid value, keeps
the service from starting and is named; an empty value is an unset one. `--help` of each service
prints all of its own. Secrets are files, whose paths are set here.

Written by `make settings` from the classes that read them;
[`deploy/settings.json`](../deploy/settings.json) is the same for programs.

| prefix | read by | class |
| --- | --- | --- |
"""


def classes() -> dict[type[StrictSettings], list[str]]:
    """Return every class of settings with the services that read it."""
    sys.path.insert(0, str(ROOT / "deploy" / "envoy"))
    found: dict[type[StrictSettings], list[str]] = {}
    for name, service in description.read(description.path_in(ROOT)).items():
        for path in service.settings.values():
            found.setdefault(_class(path), []).append(name)
    for path, reader in ELSEWHERE.items():
        found[_class(path)] = [reader]
    return found


def _class(path: str) -> type[StrictSettings]:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def prefix(settings: type[StrictSettings]) -> str:
    """Return what the variables of a class begin with."""
    return str(settings.model_config.get("env_prefix"))


class Alike(NamedTuple):
    """A setting without its prefix."""

    name: str
    default: str
    meaning: str


def page() -> str:
    """Return docs/settings.md."""
    found = classes()
    common = {alike: prefixes for alike, prefixes in _prefixes(found).items() if len(prefixes) >= COMMON}
    rows = [
        f"| [`{prefix(each)}`](#{prefix(each).strip('_').lower()}) | {', '.join(services)} | `{each.__module__}` |\n"
        for each, services in found.items()
    ]
    sections = [_section(each, services, common) for each, services in found.items()]
    return _HEAD + "".join(rows) + _common(common) + "".join(sections)


def _prefixes(found: Mapping[type[StrictSettings], list[str]]) -> dict[Alike, list[str]]:
    alike: dict[Alike, list[str]] = {}
    for each in found:
        for one in described(each):
            alike.setdefault(_alike(each, one), []).append(prefix(each))
    return alike


def _alike(settings: type[StrictSettings], one: Described) -> Alike:
    return Alike(one.variable.removeprefix(prefix(settings)), _default(one), one.meaning)


def _common(common: Mapping[Alike, list[str]]) -> str:
    if not common:
        return ""
    (services, _), *_ = Counter(map(tuple, common.values())).most_common()
    lines = [
        "\n## Common settings\n",
        "`…` is a prefix: `…DATABASE_URL` is `REGISTRY_DATABASE_URL`, and so on. *Every service* is "
        + ", ".join(f"`{each}`" for each in services)
        + ".\n",
        "| variable | default | meaning | prefixes |",
        "| --- | --- | --- | --- |",
    ]
    for one, prefixes in common.items():
        named = "every service" if tuple(prefixes) == services else ", ".join(f"`{each}`" for each in prefixes)
        lines.append(f"| `…{one.name}` | {one.default} | {one.meaning} | {named} |")
    return "\n".join(lines) + "\n"


def _section(settings: type[StrictSettings], services: list[str], common: Mapping[Alike, list[str]]) -> str:
    own = [one for one in described(settings) if _alike(settings, one) not in common]
    lines = [
        f"\n## {prefix(settings).strip('_')}\n",
        f"Read by {' and '.join(services)}, besides the [common settings](#common-settings).\n",
        "| variable | default | meaning |",
        "| --- | --- | --- |",
        *(f"| `{one.variable}` | {_default(one)} | {one.meaning} |" for one in own),
    ]
    return "\n".join(lines) + "\n"


def _default(one: Described) -> str:
    if one.required:
        return "required"
    if one.default is None:
        return "unset"
    return f"`{one.default.replace(f'{ROOT}/', '')}` {one.unit}".rstrip() if one.default else "empty"


def as_json() -> str:
    """Return deploy/settings.json: by class, the services that read it and its settings."""
    document = [
        {
            "prefix": prefix(each),
            "services": services,
            "settings": [
                {**one._asdict(), "default": None if one.default is None else one.default.replace(f"{ROOT}/", "")}
                for one in described(each)
            ],
        }
        for each, services in classes().items()
    ]
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("generate", "check"))
    made = {PAGE: page(), LIST: as_json()}
    if parser.parse_args().what == "generate":
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is not what the settings' classes say: run `make settings`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
