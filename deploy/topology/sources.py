"""What the sources say of core and parts: a picture of the imports between them, and a table of their size.

`python -m deploy.topology.sources` prints the table.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from headrace_stack import parts
from headrace_stack.description import CORE, Topology

_ROOT = Path(__file__).resolve().parents[2]


def imports(_services: Topology) -> str:
    """Return the picture of which part imports code or messages of which."""
    arrows = [
        f"    {part} --> {other}" for part, others in sorted(arrows_between().items()) for other in sorted(others)
    ]
    return "\n".join(["```mermaid", "flowchart TD", *(arrows or [f"    {CORE}"]), "```"])


def arrows_between() -> dict[str, set[str]]:
    """Return the parts that each part imports code or messages of."""
    owners, found = _owners(), defaultdict[str, set[str]](set)
    for module, names in _imported().items():
        part = owners.get(_package(module), CORE)
        found[part] |= {owners.get(_package(name), CORE) for name in names if name.startswith("headrace")} - {part}
    return {part: others for part, others in found.items() if others}


def sizes() -> str:
    """Return lines and modules by part, and how many modules have exactly one importer."""
    owners, imported = _owners(), _imported()
    importers: Mapping[str, set[str]] = defaultdict(set)
    for module, names in imported.items():
        for name in names:
            known = name if name in imported else name.rpartition(".")[0]
            if known != module:
                importers[known].add(module)
    lines, modules, single = Counter[str](), Counter[str](), Counter[str]()
    for module, path in _modules().items():
        part = owners.get(_package(module), CORE)
        lines[part] += path.read_text(encoding="utf-8").count("\n")
        modules[part] += 1
        single[part] += len(importers[module]) == 1 and path.stem not in ("__init__", "__main__")
    rows = [f"| {part} | {lines[part]:,} | {modules[part]:,} | {single[part]:,} |" for part in parts.of(_ROOT)]
    whole = f"| all | {lines.total():,} | {modules.total():,} | {single.total():,} |"
    return "\n".join(["| part | lines | modules | with one importer |", "| --- | --: | --: | --: |", *rows, whole])


def _owners() -> Mapping[str, str]:
    """Return the parts by the packages of code, `headrace_monitor`, and of messages, `headrace.monitor`, of theirs."""
    return {
        ("headrace." if folder.startswith("protos/") else "headrace_") + Path(folder).name: part.name
        for part in parts.of(_ROOT).values()
        for folder in part.folders
        if folder.startswith(("libs/", "services/", "protos/"))
    }


def _package(name: str) -> str:
    return ".".join(name.split(".")[: 2 if name.startswith("headrace.") else 1])


def _modules() -> Mapping[str, Path]:
    """Return the modules of services and libs by their names; generated stubs are none."""
    found = (path for top in ("services", "libs") for path in (_ROOT / top).glob("*/headrace_*/**/*.py"))
    return {
        ".".join(path.relative_to(_ROOT).with_suffix("").parts[2:]).removesuffix(".__init__"): path
        for path in sorted(found)
        if path.relative_to(_ROOT).parts[1] != "stubs"
    }


def _imported() -> Mapping[str, set[str]]:
    """Return what each module imports, `package.module` and `package.module.name`."""
    return {module: set(_names(ast.parse(path.read_text(encoding="utf-8")))) for module, path in _modules().items()}


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{one.name}" for one in node.names)


if __name__ == "__main__":
    print(sizes())
