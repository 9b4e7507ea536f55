"""Formats of versions: which files each has. A version may have any files of data beside those of its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from headrace_runtime.formats import PT2_NAME
from headrace_servicekit.errors import FieldViolation, PreconditionFailed

from headrace_registry.decisions.files import Artifact, ArtifactType
from headrace_registry.decisions.models import Contract, Format, Member, PoolFormats, TensorSpec, Version

ONNX_FILE = "model.onnx"
REQUIREMENTS_FILE = "requirements.txt"
SERVER_FILE = "server.json"
_DATA = frozenset({ArtifactType.JSON, ArtifactType.PARQUET})


@dataclass(frozen=True, slots=True)
class FormatFiles:
    """The files of one format.

    model: names that its model may have, with their type; a version has exactly one of them. beside: other files by
    name, which it may have. suffixes: types of which it may have any number, with the end of their names.
    """

    model: Mapping[str, ArtifactType]
    beside: Mapping[str, ArtifactType] = field(default_factory=dict)
    suffixes: Mapping[ArtifactType, str] = field(default_factory=dict)

    def named(self) -> str:
        """Return the names that the model may have, for a sentence."""
        return " or ".join(f"'{name}'" for name in self.model)


FILES: Mapping[Format, FormatFiles] = {
    Format.ONNX: FormatFiles({ONNX_FILE: ArtifactType.ONNX}),
    Format.TORCHSCRIPT: FormatFiles({"model.pt": ArtifactType.TORCHSCRIPT}),
    Format.PT2: FormatFiles({"model.pt2": ArtifactType.PT2}),
    Format.SAVEDMODEL: FormatFiles({"model.savedmodel.zip": ArtifactType.SAVEDMODEL}),
    Format.TENSORRT: FormatFiles({"model.plan": ArtifactType.TENSORRT}),
    Format.PYTHON: FormatFiles(
        {"model.py": ArtifactType.PYTHON},
        {REQUIREMENTS_FILE: ArtifactType.REQUIREMENTS},
        {ArtifactType.PYTHON: ".py", ArtifactType.OPAQUE: ""},
    ),
    Format.FIL: FormatFiles(
        dict.fromkeys(("xgboost.json", "xgboost.ubj", "lightgbm.txt"), ArtifactType.TREES),
        {ONNX_FILE: ArtifactType.ONNX},
    ),
    Format.OIP: FormatFiles({SERVER_FILE: ArtifactType.JSON}),
}


IN_PARTS = frozenset({Format.PYTHON, Format.OIP})
"""Formats whose versions may answer a request with any number of responses."""


def violations(kept_as: Format, artifacts: Sequence[Artifact], field: str) -> list[FieldViolation]:
    """Return where files are not those of a format, beside names that are no file names."""
    files, found = FILES[kept_as], []
    for index, artifact in enumerate(artifacts):
        problem = _problem(files, kept_as, artifact)
        if problem:
            found.append(FieldViolation(f"{field}[{index}].type", problem))
    models = [artifact for artifact in artifacts if files.model.get(artifact.name) is artifact.type]
    if not models:
        (kind,) = set(files.model.values())
        found.append(FieldViolation(field, f"no artifact of type {kind.name} named {files.named()}"))
    elif len({artifact.name for artifact in models}) > 1:
        found.append(FieldViolation(field, f"more than one of {files.named()}"))
    return found


def misfits(kept_as: Format, contract: Contract, field: str) -> list[FieldViolation]:
    """Return where no runtime of a format can keep a contract, fields named below `field`."""
    if contract.decoupled and kept_as not in IN_PARTS:
        message = f"what runs {kept_as} answers a request once; in parts answer {' and '.join(sorted(IN_PARTS))}"
        return [FieldViolation(f"{field}.decoupled", message)]
    if kept_as is Format.PT2:
        return list(_mixed_names(contract, field))
    if kept_as is not Format.FIL:
        return []
    found = []
    for side, specs in (("inputs", contract.inputs), ("outputs", contract.outputs)):
        if len(specs) > 1:
            names = ", ".join(f"'{spec.name}'" for spec in specs)
            problem = f"trees have one tensor each way, and these are {names}: state a contract with the scores alone"
            found.append(FieldViolation(f"{field}.{side}", problem))
        found += [
            FieldViolation(f"{field}.{side}[{index}].{name}", problem)
            for index, spec in enumerate(specs)
            for name, problem in _no_tensor_of_trees(spec, one=side == "outputs")
        ]
    return found


def _mixed_names(contract: Contract, field: str) -> Iterator[FieldViolation]:
    """Yield the sides (inputs, outputs) of a compiled program where some names are the backend's: the other tensors are
    known by position only, and would be ambiguous."""
    for side, specs in (("inputs", contract.inputs), ("outputs", contract.outputs)):
        own = [spec.name for spec in specs if PT2_NAME.fullmatch(spec.name)]
        others = [spec.name for spec in specs if spec.name not in own]
        if own and others:
            yield FieldViolation(
                f"{field}.{side}",
                f"{_listed(own)} is what Triton calls a tensor of AOTInductor, and {_listed(others)} is not: name all "
                "of them so, or none, which are then taken in their order",
            )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _no_tensor_of_trees(spec: TensorSpec, *, one: bool) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a tensor. one: whether it may be one value a row."""
    if spec.datatype != "FP32":
        yield "datatype", f"trees take and give FP32, and this is {spec.datatype}"
    if len(spec.shape) != 1 and not (one and not spec.shape):
        yield "shape", "trees have one dimension beside the rows"


def check_pools(version: Version | Member, pools: Sequence[PoolFormats]) -> None:
    """Raise PreconditionFailed, reason NO_POOL_FOR_FORMAT, when no pool that is known runs a version.

    Without any pool nothing is known: a batcher that comes later says what it cannot run.
    """
    wanted = runnable_as(version)
    if not pools or any(pool.formats & wanted for pool in pools):
        return
    violations = [
        FieldViolation(f"pools.{pool.name}", f"runs {', '.join(sorted(pool.formats)) or 'nothing'}") for pool in pools
    ]
    shown = "; ".join(f"'{pool.name}' runs {', '.join(sorted(pool.formats)) or 'nothing'}" for pool in pools[:10])
    raise PreconditionFailed(
        f"version '{version.ref.version}' of '{version.ref.model}' is {' or '.join(sorted(wanted))}, "
        f"which no pool runs: {shown}",
        reason="NO_POOL_FOR_FORMAT",
        violations=violations,
    )


def runnable_as(version: Version | Member) -> frozenset[Format]:
    """Return the formats that a pool may have to run a version: trees with an ONNX model beside them have two."""
    if version.format is Format.FIL and any(one.type is ArtifactType.ONNX for one in version.artifacts):
        return frozenset({Format.FIL, Format.ONNX})
    return frozenset({version.format})


def _problem(files: FormatFiles, kept_as: Format, artifact: Artifact) -> str:
    """Return why a file has no place in a version of a format, empty where it has one."""
    wanted = files.model.get(artifact.name) or files.beside.get(artifact.name)
    if wanted is not None:
        if artifact.type is wanted:
            return ""
        if wanted is ArtifactType.ONNX:
            return f"the ONNX model is named '{ONNX_FILE}', and nothing else is"
        return f"'{artifact.name}' is of type {wanted.name}"
    if artifact.type is ArtifactType.ONNX:
        if ONNX_FILE in files.model or ONNX_FILE in files.beside:
            return f"the ONNX model is named '{ONNX_FILE}', and nothing else is"
        return f"a version of format {kept_as} has no ONNX model: leave it out, or choose format onnx"
    if artifact.type in _DATA:
        own = (kind.name for kind, end in files.suffixes.items() if end and artifact.name.endswith(end))
        return next((f"'{artifact.name}' is of type {kind}" for kind in own), "")
    end = files.suffixes.get(artifact.type)
    if end is None:
        return f"a version of format {kept_as} has no file of type {artifact.type.name}"
    return "" if artifact.name.endswith(end) else f"the name of a file of type {artifact.type.name} ends with {end}"
