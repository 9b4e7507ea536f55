"""What tensors are called as columns."""

from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.record.log.columns import feature_columns, output_columns

from tests.kit.monitor.predictions import contract, spec

EMBEDDING = tensor_pb2.TensorSpec.KIND_EMBEDDING


def names(**inputs: tensor_pb2.TensorSpec) -> list[str]:
    return [column.name for column in feature_columns(contract(inputs, {}))]


def test_a_tensor_of_one_value_per_row_gives_its_name():
    assert names(age=spec("FP32"), height=spec("FP32", 1)) == ["age", "height"]


def test_values_of_a_row_are_told_apart_by_declared_columns_or_by_index():
    assert names(x=spec("FP32", 2, columns=["age", "income"])) == ["x.age", "x.income"]
    assert names(x=spec("FP32", 1, columns=["age"])) == ["x.age"]
    assert names(x=spec("FP32", 2, 2)) == ["x.0", "x.1", "x.2", "x.3"]


def test_embeddings_wide_rows_and_rows_whose_size_varies_stay_one_list():
    for whole in (spec("FP32", 64, kind=EMBEDDING), spec("FP32", 1025), spec("INT64", -1), spec("FP32", 0)):
        (column,) = feature_columns(contract({"x": whole}, {}))
        assert (column.name, column.is_list) == ("x", True)
    assert len(names(x=spec("FP32", 1024))) == 1024


def test_sensitive_tensors_have_no_columns():
    assert names(name=spec("BYTES", sensitive=True), age=spec("INT64")) == ["age"]
    assert output_columns(contract({}, {"secret": spec("FP32", 4, sensitive=True)})) == ()


def test_columns_that_would_share_a_name_get_names_of_their_own_also_in_sql():
    assert names(**{"a": spec("FP32", 1, columns=["b"]), "a.b": spec("FP32"), "A.B": spec("FP32")}) == [
        "a.b",
        "a.b~2",
        "A.B~3",
    ]
