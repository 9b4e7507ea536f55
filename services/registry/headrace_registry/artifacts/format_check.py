"""Whether a file is of its format, by content. Run as a program, it looks in a process with limits of its own:

python -m headrace_registry.artifacts.format_check TYPE FILE MAX_MEMORY_BYTES MAX_CPU_S

It prints {} or {"refused": "why"}. Nothing of a file is executed: archives are listed, source is parsed.
"""

from __future__ import annotations

import ast
import json
import os
import stat
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from headrace_servicekit.confinement import confine

from headrace_registry.artifacts.refusals import RefusedError
from headrace_registry.decisions import requirements
from headrace_registry.decisions.files import ArtifactType

MAX_SOURCE_BYTES = 1024 * 1024
MAX_TREES_BYTES = 256 * 1024 * 1024
MAX_ENTRIES = 10_000
MAX_UNPACKED_BYTES = 16 * 1024**3
# SavedModels of text tables shrink to a twentieth; what shrinks to less than a hundredth is made to fill disks.
MAX_RATIO, FREE_BYTES = 100, 16 * 1024 * 1024
_PLAN_MAGICS = (b"ptrt", b"ftrt")


def check(kind: ArtifactType, path: str) -> None:
    """Raise RefusedError unless a file is what its type says."""
    _CHECKS[kind](path)


def entries(path: str) -> list[zipfile.ZipInfo]:
    """Return the files of a ZIP archive that may be unpacked into a folder. Raises RefusedError."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise RefusedError(f"is no ZIP archive that can be read: {error}") from None
    if len(found) > MAX_ENTRIES:
        raise RefusedError(f"is a ZIP archive of {len(found)} files; at most {MAX_ENTRIES}")
    size_bytes = os.stat(path).st_size
    unpacked = sum(entry.file_size for entry in found)
    if unpacked > min(MAX_UNPACKED_BYTES, MAX_RATIO * size_bytes + FREE_BYTES):
        raise RefusedError(f"is a ZIP archive of {size_bytes} bytes that unpacks to {unpacked}")
    if sum(entry.compress_size for entry in found) > size_bytes:
        raise RefusedError("is a ZIP archive whose files overlap")
    names = set[str]()
    for entry in found:
        _check_entry(entry)
        if entry.filename in names:
            raise RefusedError(f"is a ZIP archive that has '{entry.filename[:100]}' twice")
        names.add(entry.filename)
    return [entry for entry in found if not entry.is_dir()]


def _check_entry(entry: zipfile.ZipInfo) -> None:
    shown = repr(entry.filename[:100])
    place = PurePosixPath(entry.filename)
    if place.is_absolute() or ".." in place.parts or "\\" in entry.filename or ":" in entry.filename:
        raise RefusedError(f"is a ZIP archive with a file outside of it: {shown}")
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise RefusedError(f"is a ZIP archive with {shown}, which is a link or a device, not a file")
    if entry.flag_bits & 1:
        raise RefusedError(f"is a ZIP archive with {shown} encrypted")


def _inner(path: str) -> set[str]:
    """Return the names in an archive of PyTorch, without the folder that holds them all."""
    return {entry.filename.partition("/")[2] for entry in entries(path)}


def _check_torchscript(path: str) -> None:
    names = _inner(path)
    if "data.pkl" not in names:
        raise RefusedError("is not TorchScript: it has no data.pkl; save the module with torch.jit.save")
    if "constants.pkl" not in names or not any(name.startswith("code/") for name in names):
        raise RefusedError(
            "has weights and no code: it was saved with torch.save. Save torch.jit.script(module) or "
            "torch.jit.trace(module, inputs) with torch.jit.save, or export the module to ONNX"
        )


def _check_pt2(path: str) -> None:
    names = _inner(path)
    if any(name.startswith("data/aotinductor/") for name in names):
        return
    if any(name.startswith(("models/", "serialized_exported_program")) for name in names):
        raise RefusedError(
            "is an exported program that is not compiled: package it with "
            "torch._inductor.aoti_compile_and_package(exported), or convert it with torch.onnx.export"
        )
    raise RefusedError("is not a package of AOTInductor: it has no data/aotinductor")


def _check_savedmodel(path: str) -> None:
    names = {entry.filename for entry in entries(path)}
    if "saved_model.pb" in names:
        return
    deeper = next((name for name in sorted(names) if name.endswith("/saved_model.pb")), None)
    if deeper is not None:
        raise RefusedError(f"has {deeper[:100]!r}: saved_model.pb must lie at the top of the archive")
    raise RefusedError("is not a SavedModel: it has no saved_model.pb")


def _check_plan(path: str) -> None:
    with open(path, "rb") as file:
        if file.read(4) not in _PLAN_MAGICS:
            raise RefusedError("is not a TensorRT plan: build it with trtexec --saveEngine")


def _check_python(path: str) -> None:
    text = _text(path)
    try:
        ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise RefusedError(f"is not Python: {error}") from None


def _check_requirements(path: str) -> None:
    try:
        requirements.parse(_text(path))
    except requirements.RequirementError as error:
        raise RefusedError(f"does not say exactly what to install: {error}") from None


def _check_trees(path: str) -> None:
    size_bytes = os.stat(path).st_size
    if size_bytes > MAX_TREES_BYTES:
        raise RefusedError(f"is {size_bytes} bytes of trees; at most {MAX_TREES_BYTES}")
    with open(path, "rb") as file:
        head = file.read(4096)
        if head.startswith(b"tree\n") and b"\nversion=v" in head:
            return
        if head.startswith(b"{L") and b"learner" in head:
            return
        file.seek(0)
        try:
            booster = json.load(file)
        except ValueError:
            booster = None
    if not isinstance(booster, dict) or not {"learner", "version"} <= booster.keys():
        raise RefusedError(
            "is neither a booster of XGBoost (save_model as .json or .ubj) nor one of LightGBM (save_model as .txt)"
        )


def _text(path: str) -> str:
    with open(path, "rb") as file:
        content = file.read(MAX_SOURCE_BYTES + 1)
    if len(content) > MAX_SOURCE_BYTES:
        raise RefusedError(f"is more than {MAX_SOURCE_BYTES} bytes of text")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise RefusedError("is not text: its bytes are not UTF-8") from None
    if "\0" in text:
        raise RefusedError("is not text: it has a zero byte")
    return text


_CHECKS: Mapping[ArtifactType, Callable[[str], None]] = {
    ArtifactType.TORCHSCRIPT: _check_torchscript,
    ArtifactType.PT2: _check_pt2,
    ArtifactType.SAVEDMODEL: _check_savedmodel,
    ArtifactType.TENSORRT: _check_plan,
    ArtifactType.PYTHON: _check_python,
    ArtifactType.REQUIREMENTS: _check_requirements,
    ArtifactType.TREES: _check_trees,
}
CHECKED = frozenset(_CHECKS)
"""The types that are looked into here."""


def main() -> None:
    """Check the file named by the arguments; the answer goes to stdout."""
    kind, path, max_memory_bytes, max_cpu_s = sys.argv[1:]
    confine(int(max_memory_bytes), int(max_cpu_s))
    answer = {}
    try:
        check(ArtifactType(kind), path)
    except RefusedError as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"refused": "needs too much memory to be looked into"}
    except RecursionError:
        answer = {"refused": "is nested too deeply"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
