"""The serving contract: its rules, its hashes, and what a model file keeps of it."""

from dataclasses import replace

import pytest
from headrace_registry.decisions import contract, file_contract
from headrace_registry.decisions.files import Artifact, ArtifactType, ModelFile, ModelPort, Trial
from headrace_registry.decisions.models import BatchDimension, Contract, Task, TensorSpec, VersionRef

from tests.kit.rows import each

FEATURES = TensorSpec("features", "FP32", (4,))
SCORES = TensorSpec("scores", "FP32", (3,))
CONTRACT = Contract((FEATURES,), (SCORES,))

FILE = ModelFile(
    inputs=(ModelPort("features", "FP32", "", (None, 4)),), outputs=(ModelPort("scores", "FP32", "", (None, 3)),)
)


def with_input(**changes) -> Contract:
    return replace(CONTRACT, inputs=(replace(FEATURES, **changes),))


def fields(violations) -> list[str]:
    return [violation.field for violation in violations]


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param(CONTRACT, id="a plain one"),
        pytest.param(with_input(minimum=1.0, maximum=1.0), id="one value alone"),
        pytest.param(with_input(minimum=1.0), id="a bound on one side"),
        pytest.param(
            replace(CONTRACT, outputs=tuple(replace(SCORES, name=f"s{at}") for at in range(contract.MAX_TENSORS))),
            id="as many tensors as there may be",
        ),
        pytest.param(
            replace(CONTRACT, outputs=(replace(SCORES, shape=()),), task=Task.CLASSIFICATION, labels=("a", "b")),
            id="labels of one number per row",
        ),
        pytest.param(
            replace(CONTRACT, outputs=(replace(SCORES, shape=(5, 5)),), task=Task.CLASSIFICATION, labels=("a", "b")),
            id="labels of a table per row",
        ),
    ],
)
def test_a_contract_that_is_in_order_is_valid(declared):
    assert contract.violations(declared, "contract") == []


@each(
    "declared,field",
    [
        pytest.param(Contract((), (SCORES,)), "contract.inputs", id="no inputs"),
        pytest.param(Contract((FEATURES,), ()), "contract.outputs", id="no outputs"),
        pytest.param(with_input(name=""), "contract.inputs[0].name", id="no name"),
        pytest.param(with_input(name="a\x00b"), "contract.inputs[0].name", id="name with NUL"),
        pytest.param(with_input(name="x" * 257), "contract.inputs[0].name", id="a long name"),
        pytest.param(
            replace(CONTRACT, outputs=tuple(replace(SCORES, name=f"s{at}") for at in range(contract.MAX_TENSORS + 1))),
            "contract.outputs",
            id="too many tensors",
        ),
        pytest.param(Contract((FEATURES, FEATURES), (SCORES,)), "contract.inputs[1].name", id="twice"),
        pytest.param(with_input(datatype="FLOAT"), "contract.inputs[0].datatype", id="unknown datatype"),
        pytest.param(with_input(shape=(0,)), "contract.inputs[0].shape[0]", id="zero"),
        pytest.param(with_input(shape=(4, -2)), "contract.inputs[0].shape[1]", id="below -1"),
        pytest.param(with_input(shape=(1,) * 9), "contract.inputs[0].shape", id="nine dimensions"),
        pytest.param(
            with_input(shape=(2**31 - 1,) * 900, columns=("a",)), "contract.inputs[0].shape", id="a product too long"
        ),
        pytest.param(with_input(datatype="INT64", nan_allowed=True), "contract.inputs[0].nan_allowed", id="NaN of int"),
        pytest.param(with_input(optional=True), "contract.inputs", id="all optional"),
        pytest.param(with_input(columns=("a",)), "contract.inputs[0].columns", id="too few columns"),
        pytest.param(with_input(columns=("a", "b", "c", "a")), "contract.inputs[0].columns[3]", id="column twice"),
        pytest.param(with_input(shape=(-1,), columns=("a",)), "contract.inputs[0].columns", id="columns of any"),
        pytest.param(with_input(minimum=float("nan")), "contract.inputs[0].minimum", id="NaN as bound"),
        pytest.param(with_input(minimum=2.0, maximum=1.0), "contract.inputs[0].minimum", id="crossed bounds"),
        pytest.param(replace(CONTRACT, prediction="label"), "contract.prediction", id="prediction unknown"),
        pytest.param(replace(CONTRACT, labels=("a", "a")), "contract.labels[1]", id="label twice"),
        pytest.param(replace(CONTRACT, labels=("a", "")), "contract.labels[1]", id="empty label"),
        pytest.param(
            replace(CONTRACT, task=Task.CLASSIFICATION, labels=("a", "b")), "contract.labels", id="labels ≠ scores"
        ),
        pytest.param(
            replace(CONTRACT, outputs=(replace(SCORES, optional=True),)), "contract.outputs[0].optional", id="output"
        ),
    ],
)
def test_a_bad_contract_names_the_field(declared, field):
    assert field in fields(contract.violations(declared, "contract"))


@pytest.mark.parametrize("labels", [(), ("a", "b", "c")])
def test_labels_of_a_classifier_may_be_left_out_or_match_its_scores(labels):
    assert not contract.violations(replace(CONTRACT, task=Task.CLASSIFICATION, labels=labels), "contract")


def test_one_score_may_have_two_labels():
    declared = replace(CONTRACT, outputs=(replace(SCORES, shape=(1,)),), task=Task.CLASSIFICATION, labels=("no", "yes"))
    assert not contract.violations(declared, "contract")


def test_the_signature_hash_covers_names_datatypes_and_shapes_only():
    base = contract.signature_hash(CONTRACT)
    for same in (
        with_input(nan_allowed=True, columns=("a", "b", "c", "d"), sensitive=True),
        replace(CONTRACT, labels=("x",)),
    ):
        assert contract.signature_hash(same) == base
    for other in (with_input(name="x"), with_input(datatype="FP64"), with_input(shape=(5,)), with_input(shape=(4, 1))):
        assert contract.signature_hash(other) != base
    assert contract.signature_hash(Contract((SCORES,), (FEATURES,))) != base


def test_the_signature_hash_does_not_depend_on_the_order_of_tensors():
    other = TensorSpec("other", "INT64")
    assert contract.signature_hash(Contract((FEATURES, other), (SCORES,))) == contract.signature_hash(
        Contract((other, FEATURES), (SCORES,))
    )


def test_hashes_stay_what_they_were_in_every_release():
    """They are kept in databases, name what batchers hold, and are computed anew only for new versions."""
    declared = with_input(name="größe")
    file = Artifact("model.onnx", ArtifactType.ONNX, "a" * 64)
    assert contract.signature_hash(declared) == "3fc34670ba7b50db343f31228015c748543a88ecb95b153185f5a65ec5a6f6c9"
    assert contract.digest(VersionRef("digits", "v1"), declared, [file]) == (
        "59890cdcc580e87031c81acb8240e3210a497a7ec33dddc16891b6b56008675a"
    )


def test_the_digest_changes_with_name_contract_and_files():
    file = Artifact("model.onnx", ArtifactType.ONNX, "a" * 64)
    base = contract.digest(VersionRef("digits", "v1"), CONTRACT, [file])
    others = [
        contract.digest(VersionRef("digits", "v2"), CONTRACT, [file]),
        contract.digest(VersionRef("digits", "v1"), with_input(nan_allowed=True), [file]),
        contract.digest(VersionRef("digits", "v1"), CONTRACT, [replace(file, sha256="b" * 64)]),
    ]
    assert len({base, *others}) == 4
    assert contract.digest(VersionRef("digits", "v1"), CONTRACT, [replace(file, size_bytes=9)]) == base


def file_with(side: str, **changes) -> ModelFile:
    (port,) = getattr(FILE, side)
    return replace(FILE, **{side: (replace(port, **changes),)})


@each(
    "declared,file,field",
    [
        pytest.param(with_input(name="x"), FILE, "version.contract.inputs[0].name", id="unknown name"),
        pytest.param(with_input(datatype="FP64"), FILE, "version.contract.inputs[0].datatype", id="datatype"),
        pytest.param(with_input(shape=(5,)), FILE, "version.contract.inputs[0].shape", id="size"),
        pytest.param(with_input(shape=(4, 1)), FILE, "version.contract.inputs[0].shape", id="rank"),
        pytest.param(
            with_input(shape=(-1,)), FILE, "version.contract.inputs[0].shape", id="any, where the file is fixed"
        ),
        pytest.param(
            CONTRACT, file_with("inputs", shape=(8, 4)), "version.contract.inputs[0].shape", id="fixed number of rows"
        ),
        pytest.param(CONTRACT, file_with("inputs", shape=()), "version.contract.inputs[0].shape", id="a scalar"),
        pytest.param(
            CONTRACT,
            file_with("outputs", datatype="", declared="a map"),
            "version.contract.outputs[0].datatype",
            id="not a tensor",
        ),
        pytest.param(with_input(optional=True), FILE, "version.contract.inputs[0].optional", id="no default"),
        pytest.param(
            CONTRACT,
            replace(FILE, inputs=(*FILE.inputs, ModelPort("mask", "BOOL", "", (None,)))),
            "version.contract.inputs",
            id="an input left out",
        ),
    ],
)
def test_a_file_that_does_not_keep_the_contract_is_told_by_field(declared, file, field):
    assert fields(file_contract.mismatches(declared, file, "version.contract"))[0] == field


@pytest.mark.parametrize(
    ("declared", "file"),
    [
        pytest.param(CONTRACT, FILE, id="the same"),
        pytest.param(CONTRACT, file_with("inputs", shape=(None, None)), id="narrower than the file"),
        pytest.param(with_input(shape=(-1,)), file_with("inputs", shape=(None, None)), id="as free as the file"),
        pytest.param(CONTRACT, file_with("outputs", shape=None), id="the file does not say"),
        pytest.param(with_input(optional=True), file_with("inputs", required=False), id="optional with default"),
        pytest.param(
            CONTRACT,
            replace(FILE, inputs=(*FILE.inputs, ModelPort("mask", "BOOL", "", (None,), required=False))),
            id="an input with default left out",
        ),
        pytest.param(
            CONTRACT,
            replace(FILE, outputs=(*FILE.outputs, ModelPort("extra", "", "a map", None))),
            id="an output left out",
        ),
    ],
)
def test_a_file_that_keeps_the_contract_is_taken(declared, file):
    assert file_contract.mismatches(declared, file, "version.contract") == []


def test_the_contract_of_a_file_is_kept_by_the_file():
    assert file_contract.of_file(FILE) == CONTRACT
    assert file_contract.mismatches(file_contract.of_file(FILE), FILE, "version.contract") == []


ONE, NONE, ANY = BatchDimension.ONE, BatchDimension.NONE, BatchDimension.UNSPECIFIED


@pytest.mark.parametrize(
    ("inputs", "outputs", "row_by_row"),
    [
        pytest.param((((None, 4), (4,), ANY),), (((None, 3), (3,), ANY),), False, id="rows first, of any number"),
        pytest.param(
            (((None, 4), (4,), ANY),), (((1,), (), ONE), ((None, 3), (3,), ANY)), False, id="an output declared as 1"
        ),
        pytest.param((((1, 4), (4,), ONE),), (((1,), (), ONE), ((1, 3), (3,), ONE)), True, id="one row"),
        pytest.param((((3,), (3,), NONE),), (((3,), (3,), NONE),), True, id="a vector"),
        pytest.param((((8, 4), (8, 4), NONE),), (((8, 3), (8, 3), NONE),), True, id="a table of eight rows"),
        pytest.param((((None, 3), (3,), ANY), ((), (), NONE)), (((None,), (), ANY),), True, id="a number beside rows"),
        pytest.param((((None, 4), (4,), ANY),), (((), (), NONE),), True, id="one number for all rows"),
    ],
)
def test_a_file_states_how_it_declares_rows_and_what_has_none_is_executed_row_by_row(inputs, outputs, row_by_row):
    def ports(tensors):
        return tuple(ModelPort(f"t{at}", "FP32", "", shape) for at, (shape, _row, _dimension) in enumerate(tensors))

    def said(specs):
        return [(spec.shape, spec.batch_dimension) for spec in specs]

    file = ModelFile(ports(inputs), ports(outputs))
    declared = file_contract.of_file(file)
    assert file_contract.mismatches(declared, file, "contract") == []
    declared = file_contract.with_batch_dimensions(declared, file)
    assert said(declared.inputs) == [(row, dimension) for _shape, row, dimension in inputs]
    assert said(declared.outputs) == [(row, dimension) for _shape, row, dimension in outputs]
    assert declared.row_by_row is row_by_row


def test_a_contract_may_say_that_all_of_a_tensor_is_one_row():
    declared = with_input(shape=(-1, 4))
    assert file_contract.mismatches(declared, FILE, "contract") == []
    assert file_contract.with_batch_dimensions(declared, FILE).inputs[0].batch_dimension is NONE


@pytest.mark.parametrize(
    ("row", "shape", "words"),
    [
        pytest.param((), (3,), "is [] per row; the model's shape is [3], which has no dimension for rows", id="vector"),
        pytest.param((4,), (8, 4), "state [8, 4] as the shape of a row", id="table"),
        pytest.param((5,), (None, 4), "is [5] per row; the model has [4]", id="free"),
        pytest.param((5,), (1, 4), "is [5] per row; the model has [4]", id="one"),
    ],
)
def test_a_shape_that_does_not_fit_is_told_as_the_file_has_it(row, shape, words):
    (found,) = file_contract.mismatches(with_input(shape=row), file_with("inputs", shape=shape), "contract")
    assert words in found.description


def test_the_digest_tells_versions_apart_that_declare_rows_differently():
    file = Artifact("model.onnx", ArtifactType.ONNX, "a" * 64)
    digests = {
        contract.digest(VersionRef("digits", "v1"), with_input(batch_dimension=dimension), [file])
        for dimension in BatchDimension
    }
    assert len(digests) == len(BatchDimension)


@pytest.mark.parametrize(
    ("declared", "of_success", "of_failure"),
    [
        pytest.param(CONTRACT, True, True, id="the same"),
        pytest.param(with_input(nan_allowed=True, sensitive=True), True, True, id="other details"),
        pytest.param(replace(CONTRACT, outputs=()), True, False, id="an output left out, perhaps the one that failed"),
        pytest.param(with_input(shape=(-1,)), False, False, id="another shape"),
        pytest.param(replace(CONTRACT, outputs=(replace(SCORES, shape=(-1,)),)), False, False, id="another output"),
    ],
)
def test_what_was_tried_at_the_upload_says_of_a_contract_what_it_has_in_common(declared, of_success, of_failure):
    assert file_contract.trial_applies(Trial(), declared, CONTRACT) is of_success
    assert file_contract.trial_applies(Trial("it fails"), declared, CONTRACT) is of_failure


def test_a_tensor_without_a_datatype_is_that_of_the_file_with_what_is_said_beside_its_name():
    declared = Contract((TensorSpec("features", "", nan_allowed=True, columns=("a", "b", "c", "d")),))
    assert not contract.is_stated(declared)
    found = file_contract.of_version(declared, FILE)
    assert found == with_input(nan_allowed=True, columns=("a", "b", "c", "d"))
    assert contract.violations(found, "contract") == file_contract.mismatches(found, FILE, "contract") == []


def test_a_name_without_a_datatype_that_the_file_does_not_have_is_told_as_such():
    found = file_contract.of_version(Contract((TensorSpec("income", "", nan_allowed=True),)), FILE)
    (mismatch,) = file_contract.mismatches(found, FILE, "contract")
    assert mismatch.description == "the model has no 'income'; it has: features"


def test_a_file_that_does_not_tell_its_shapes_leaves_a_gap():
    assert fields(file_contract.gaps(file_with("outputs", shape=None), "version.contract")) == [
        "version.contract.outputs"
    ]
    assert file_contract.gaps(FILE, "version.contract") == []


def test_a_file_with_many_long_names_is_told_in_a_few():
    ports = tuple(ModelPort(f"{number:0>9999}", "FP32", "", (None,), required=False) for number in range(256))
    (found,) = file_contract.mismatches(Contract((TensorSpec("x", "FP32"),)), ModelFile(ports, ()), "contract")
    assert found.description.endswith("and 240 more")
    assert len(found.description) < 2000
