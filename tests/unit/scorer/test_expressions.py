"""Declared column expressions: what they may be, and what becomes of rows that have no answer."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from headrace_scorer.decisions.specs import ColumnExpression
from headrace_scorer.engine.expressions import Expressions, WrongExpression
from headrace_scorer.engine.tensors import Faults

TABLE = pa.table({"a": [1.0, 2.0, 3.0], "text": ["7", "x", "9"], "list": [[1, 2], [3], []]})


def expressions(**columns: str) -> Expressions:
    return Expressions([ColumnExpression(name, text) for name, text in columns.items()], max_bytes=128 << 20)


def test_columns_are_computed_row_by_row():
    big = "case when a > 1 then 'yes' else 'no' end"
    made = expressions(b="ln(a) + 1", big=big, c="list_transform(list, x -> x * a)", most="list_max(list)")
    assert made.columns(TABLE.column_names) == {"a", "list"}
    found = made.computed(TABLE, Faults(3))
    np.testing.assert_allclose(found.column("b").to_numpy(), np.log([1, 2, 3]) + 1)
    assert found.column("big").to_pylist() == ["no", "yes", "yes"]
    assert found.column("most").to_pylist() == [2, 3, None]
    assert found.column("c").to_pylist() == [[1, 2], [6], []]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a + (select max(a) from given)", "subquery"),
        ("sum(a)", "sum"),
        ("row_number() over ()", "window"),
        ("random()", "random"),
        ("now()", "now"),
        ("current_date", "no column 'current_date'"),
        ("getenv('HOME')", "getenv"),
        ("read_text('/etc/passwd')", "read_text"),
        ("a) as x, (a", "one expression"),
        ("a); drop table given; select (a", ""),
        ("a) as x from given order by random() --", "syntax error"),
        ("a) as x from range(3) as given(a), (select 1", "one expression"),
        ("a) as x from given where a > (1", "syntax error"),
        ("a) as x union select (a", "one expression"),
        ("a) as x order by (a", "syntax error"),
        ("*", "star"),
        ("gone + 1", "no column 'gone'"),
        ("ln(", "syntax error"),
        ("nextval('s')", "nextval"),
        ("current_user", "no column"),
        ("current_localtimestamp()", "current_localtimestamp"),
        ("age(to_timestamp(a))", "age"),
        ("current_setting('threads')", "current_setting"),
        ("json_serialize_plan('select a from given')", "json_serialize_plan"),
        ("pg_typeof(a) || current_query()", "current_query"),
    ],
)
def test_what_is_not_about_one_row_is_refused(text: str, told: str):
    with pytest.raises(WrongExpression, match=r"'b': ") as refused:
        expressions(b=text).columns(TABLE.column_names)
    assert told in str(refused.value).lower()


def test_what_is_computed_is_the_same_in_each_time_zone():
    # A process of its own: the zone is found once.
    script = (
        "import pyarrow; from headrace_scorer.engine.expressions import ColumnExpression, Expressions, Faults; "
        "of = Expressions([ColumnExpression('at', 'cast(to_timestamp(a) as text)')]); "
        "print(of.computed(pyarrow.table({'a': [1]}), Faults(1)).column('at')[0])"
    )
    told = subprocess.run((sys.executable, "-c", script), env={"TZ": "Asia/Tokyo"}, capture_output=True, check=True)
    assert told.stdout.decode().strip() == "1970-01-01 00:00:01+00"


def test_rows_without_an_answer_have_a_fault_and_the_others_do_not():
    faults = Faults(3)
    found = expressions(number="cast(text as int)").computed(TABLE, faults)
    assert found.column("number").to_pylist() == [7, None, 9]
    assert list(faults.found) == [1]
    column, reason = faults.found[1]
    assert column == "number"
    assert "Could not convert string 'x'" in reason
    assert faults.good.tolist() == [True, False, True]


def test_nothing_outside_can_be_reached():
    secret = pa.table({"s": ["secret"]})  # a name that DuckDB would find in Python, were it allowed to
    assert secret.num_rows == 1
    with pytest.raises(WrongExpression):
        expressions(b="(from secret)").columns(TABLE.column_names)


def test_an_expression_whose_texts_grow_without_bound_is_refused_before_a_job_is_queued():
    made = expressions(long="lpad('x', 1000000000, 'y')")
    with pytest.raises(WrongExpression, match="takes more than 128 MiB"):
        made.typed(TABLE.schema)


def test_a_row_whose_text_grows_without_bound_is_rejected_and_the_others_are_computed():
    table = pa.table({"a": pa.array([1, 1_000_000_000, 3], pa.int64())})
    faults = Faults(3)
    found = expressions(b="lpad('x', a::int, 'y')").computed(table, faults)
    assert found.column("b").to_pylist() == ["x", None, "yyx"]
    assert faults.found == {1: ("b", "it takes more than 128 MiB")}


def test_rows_that_together_take_too_much_memory_fail_the_expression():
    table = pa.table({"a": pa.array(range(1500), pa.int64())})
    with pytest.raises(WrongExpression, match="take more than 128 MiB"):
        expressions(b="lpad(a::text, 100000, 'y')").computed(table, Faults(1500))
