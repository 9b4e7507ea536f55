"""Which columns a tensor is made of, and everything that does not fit."""

from headrace_runtime.contract import Contract, TensorSpec
from headrace_scorer.decisions.columns import Column, Kind, mapped, misnamed
from headrace_scorer.decisions.specs import ColumnExpression, Location, Spec, TensorColumns

CONTRACT = Contract(
    (
        TensorSpec("features", "FP32", (2,)),
        TensorSpec("country", "BYTES", ()),
        TensorSpec("hint", "INT64", (1,), optional=True),
    ),
    (TensorSpec("score", "FP32", (1,)),),
)
COLUMNS = (
    Column("features_0", Kind.FLOAT, "double"),
    Column("features_1", Kind.INTEGER, "int64"),
    Column("country", Kind.TEXT, "string"),
    Column("both", Kind.FLOAT, "list<double>", listed=True),
    Column("three", Kind.FLOAT, "fixed_size_list<double>[3]", listed=True, length=3),
    Column("when", Kind.OTHER, "timestamp[us]"),
)


def told(*tensors: TensorColumns) -> list[str]:
    return [one.description for one in mapped(CONTRACT, COLUMNS, tensors)[1]]


def test_columns_are_found_by_name_and_an_optional_input_may_be_left_out():
    found, wrong = mapped(CONTRACT, COLUMNS, ())
    assert wrong == []
    assert found == (TensorColumns("features", ("features_0", "features_1")), TensorColumns("country", ("country",)))


def test_a_column_of_lists_is_a_tensor_by_itself():
    found, wrong = mapped(CONTRACT, COLUMNS, (TensorColumns("features", ("both",)),))
    assert (found[0].columns, wrong) == (("both",), [])


def test_every_mismatch_is_named():
    problems = told(
        TensorColumns("features", ("features_0",)),
        TensorColumns("country", ("when",)),
        TensorColumns("hint", ("gone",)),
        TensorColumns("other", ("country",)),
    )
    assert len(problems) == 4
    assert "has no input 'other'" in problems[0]
    assert "rows of 2 elements, shape [2], and 1 columns" in problems[1]
    assert "is BYTES, and column 'when' has timestamp[us]" in problems[2]
    assert "no column 'gone'" in problems[3]


def test_lists_have_the_length_of_a_row_and_stand_alone():
    assert "of column 'three' have 3" in told(TensorColumns("features", ("three",)))[0]
    assert "has lists" in told(TensorColumns("features", ("both", "features_0")))[0]


def test_a_tensor_whose_shape_varies_is_refused():
    varying = Contract((TensorSpec("x", "FP32", (-1,)),), ())
    assert "varies" in mapped(varying, COLUMNS, (TensorColumns("x", ("both",)),))[1][0].description


def test_names_of_the_output_are_there_once():
    spec = Spec(
        Location("b", "p"),
        derived=(ColumnExpression("country", "1"), ColumnExpression("x", "1"), ColumnExpression("x", "2")),
        keep=("score", "gone"),
    )
    problems = [one.description for one in misnamed(spec, [column.name for column in COLUMNS], ["score"])]
    assert any("'x' is named twice" in one for one in problems)
    assert any("'country' already" in one for one in problems)
    assert any("no column 'gone'" in one for one in problems)
    assert any("'score' would stand in the output twice" in one for one in problems)
