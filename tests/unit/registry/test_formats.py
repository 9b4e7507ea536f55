"""Which files a version of each format has."""

import pytest
from headrace_registry.decisions import contract, defaults, formats
from headrace_registry.decisions.files import Artifact, ArtifactType
from headrace_registry.decisions.models import Contract, Format, PoolFormats, TensorSpec, Version, VersionRef
from headrace_servicekit.errors import PreconditionFailed

from tests.kit.rows import each

SHA = "a" * 64


def files(*pairs: tuple[str, ArtifactType]) -> list[Artifact]:
    return [Artifact(name, kind, SHA) for name, kind in pairs]


WHOLE = {
    Format.ONNX: files(("model.onnx", ArtifactType.ONNX)),
    Format.TORCHSCRIPT: files(("model.pt", ArtifactType.TORCHSCRIPT)),
    Format.PT2: files(("model.pt2", ArtifactType.PT2)),
    Format.SAVEDMODEL: files(("model.savedmodel.zip", ArtifactType.SAVEDMODEL)),
    Format.TENSORRT: files(("model.plan", ArtifactType.TENSORRT)),
    Format.PYTHON: files(
        ("model.py", ArtifactType.PYTHON),
        ("scaling.py", ArtifactType.PYTHON),
        ("requirements.txt", ArtifactType.REQUIREMENTS),
    ),
    Format.FIL: files(("xgboost.json", ArtifactType.TREES), ("model.onnx", ArtifactType.ONNX)),
    Format.OIP: files(("server.json", ArtifactType.JSON)),
}


@each("kept_as", Format)
def test_every_format_takes_its_own_files_and_any_data_beside_them(kept_as):
    data = files(("labels.json", ArtifactType.JSON), ("rows.parquet", ArtifactType.PARQUET))
    assert formats.violations(kept_as, [*WHOLE[kept_as], *data], "artifacts") == []


@each("kept_as", Format)
def test_a_version_without_the_model_of_its_format_is_refused_by_the_name_that_is_missing(kept_as):
    data = files(("labels.json", ArtifactType.JSON))
    (violation,) = formats.violations(kept_as, data, "artifacts")
    assert violation.field == "artifacts"
    assert next(iter(formats.FILES[kept_as].model)) in violation.description


@each(
    "kept_as,extra,why",
    [
        (Format.ONNX, ("model.py", ArtifactType.PYTHON), "a version of format onnx has no file of type PYTHON"),
        (Format.ONNX, ("other.onnx", ArtifactType.ONNX), "the ONNX model is named 'model.onnx', and nothing else is"),
        (Format.PYTHON, ("model.onnx", ArtifactType.ONNX), "a version of format python has no ONNX model"),
        (Format.PYTHON, ("scaling.txt", ArtifactType.PYTHON), "ends with .py"),
        (Format.PYTHON, ("more.txt", ArtifactType.REQUIREMENTS), "has no file of type REQUIREMENTS"),
        # Bytes can be a table and source at once, and tables come without the scope for code.
        (Format.PYTHON, ("helper.py", ArtifactType.PARQUET), "'helper.py' is of type PYTHON"),
        (Format.PYTHON, ("helper.py", ArtifactType.JSON), "'helper.py' is of type PYTHON"),
        (Format.FIL, ("lightgbm.txt", ArtifactType.TREES), "more than one of 'xgboost.json' or"),
        (Format.OIP, ("server.txt", ArtifactType.PYTHON), "has no file of type PYTHON"),
    ],
)
def test_a_file_of_another_format_is_refused(kept_as, extra, why):
    found = formats.violations(kept_as, [*WHOLE[kept_as], *files(extra)], "artifacts")
    assert why in found[0].description


def test_a_model_under_the_name_of_another_type_is_refused():
    found = formats.violations(Format.TORCHSCRIPT, files(("model.pt", ArtifactType.PT2)), "artifacts")
    assert [one.description for one in found] == [
        "'model.pt' is of type TORCHSCRIPT",
        "no artifact of type TORCHSCRIPT named 'model.pt'",
    ]


def test_the_format_is_part_of_what_is_served_and_onnx_versions_keep_the_digest_they_had():
    ref, told, artifacts = VersionRef("m", "v1"), Contract(), WHOLE[Format.FIL]
    digests = {contract.digest(ref, told, artifacts, kept_as) for kept_as in Format}
    assert len(digests) == len(Format)
    assert contract.digest(ref, told, artifacts) in digests


def trees(*kinds: ArtifactType) -> Version:
    artifacts = tuple(Artifact(kind.value, kind, SHA) for kind in kinds)
    return Version(VersionRef("m", "v1"), defaults.filled(), artifacts=artifacts, format=Format.FIL)


def test_trees_with_an_onnx_model_beside_them_run_where_either_runs():
    both, alone = trees(ArtifactType.TREES, ArtifactType.ONNX), trees(ArtifactType.TREES)
    assert formats.runnable_as(both) == {Format.FIL, Format.ONNX}
    pool = PoolFormats("default", frozenset({Format.ONNX}))
    formats.check_pools(both, [pool])
    with pytest.raises(PreconditionFailed, match="'default' runs onnx"):
        formats.check_pools(alone, [pool])


def test_a_pool_that_runs_nothing_says_so():
    with pytest.raises(PreconditionFailed, match="'old' runs nothing"):
        formats.check_pools(trees(ArtifactType.TREES), [PoolFormats("old", frozenset())])


X, SCORES = TensorSpec("x", "FP32", (4,)), TensorSpec("scores", "FP32", (3,))


@pytest.mark.parametrize(
    ("inputs", "outputs", "where", "why"),
    [
        pytest.param((X, X), (SCORES,), "contract.inputs", "one tensor each way", id="columns"),
        pytest.param(
            (X,), (SCORES, X), "contract.outputs", "state a contract with the scores alone", id="label beside"
        ),
        pytest.param((TensorSpec("x", "FP64", (4,)),), (SCORES,), "contract.inputs[0].datatype", "FP32", id="doubles"),
        pytest.param(
            (TensorSpec("x", "FP32", ()),), (SCORES,), "contract.inputs[0].shape", "one dimension", id="value"
        ),
        pytest.param(
            (X,), (TensorSpec("y", "INT64", ()),), "contract.outputs[0].datatype", "this is INT64", id="class number"
        ),
    ],
)
def test_trees_have_one_tensor_of_numbers_each_way(inputs, outputs, where, why):
    (violation,) = formats.misfits(Format.FIL, Contract(inputs, outputs), "contract")
    assert violation.field == where
    assert why in violation.description


def test_trees_answer_a_score_or_one_for_each_class_and_other_formats_anything():
    assert formats.misfits(Format.FIL, Contract((X,), (SCORES,)), "contract") == []
    assert formats.misfits(Format.FIL, Contract((X,), (TensorSpec("y", "FP32", ()),)), "contract") == []
    assert formats.misfits(Format.SAVEDMODEL, Contract((X, X), (SCORES, X)), "contract") == []


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        pytest.param(("x", "INPUT__0"), True, id="a position that another has by its place"),
        pytest.param(("ARGS[0]", "x"), True, id="a part of the call beside a name"),
        pytest.param(("INPUT__1", "INPUT__0"), False, id="positions"),
        pytest.param(("ARGS[0]", "KWARGS[mask]"), False, id="parts of the call"),
        pytest.param(("x", "y"), False, id="names of its own"),
    ],
)
def test_tensors_of_a_compiled_program_are_all_named_as_its_backend_does_or_none(names, refused):
    specs = tuple(TensorSpec(name, "FP32", (3,)) for name in names)
    found = formats.misfits(Format.PT2, Contract(specs, (SCORES,)), "contract")
    assert [one.field for one in found] == ["contract.inputs"] * refused
    assert all(f"'{name}'" in one.description for one in found for name in names)
    assert formats.misfits(Format.TORCHSCRIPT, Contract(specs, (SCORES,)), "contract") == []


@each("kept_as", Format)
def test_only_code_and_servers_may_answer_in_parts(kept_as):
    told = Contract((TensorSpec("x", "FP32", (4,)),), (TensorSpec("y", "FP32", (1,)),), decoupled=True)
    fields = [violation.field for violation in formats.misfits(kept_as, told, "contract")]
    assert fields == ([] if kept_as in (Format.PYTHON, Format.OIP) else ["contract.decoupled"])


def test_what_answers_in_parts_has_another_signature_and_identity_and_all_others_keep_theirs():
    once = Contract((TensorSpec("x", "FP32", (4,)),), (TensorSpec("y", "FP32", (1,)),))
    several, ref = Contract(once.inputs, once.outputs, decoupled=True), VersionRef("m", "v1")
    assert contract.signature_hash(once) != contract.signature_hash(several)
    assert contract.digest(ref, once, ()) != contract.digest(ref, several, ())
    assert "decoupled" not in contract._document(once)
