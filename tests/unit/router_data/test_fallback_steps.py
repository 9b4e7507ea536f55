"""Fallbacks and hedging of a table, as they are read from its message."""

import pytest
from google.protobuf import duration_pb2
from headrace.router.v1 import control_pb2, route_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.request.request import Call, Request, ResolvedRequest, Tensors, fitted
from headrace_router.data.tables.decisions.fallback_steps import (
    Backup,
    Given,
    Hedge,
    Precomputed,
    Stale,
)
from headrace_router.data.tables.table import table_of
from headrace_servicekit.identity import Identity

from tests.kit.router.digits import V1, V2
from tests.kit.router.fake_control import resolved_version, table
from tests.kit.router.fallback_steps import with_steps

FallbackStep, ResolvedFallbackStep = route_pb2.FallbackStep, control_pb2.ResolvedFallbackStep
GONE = ResolvedFallbackStep.ResolvedBackup(digest="ff")


def spec(name: str, datatype: str = "FP32", shape=(4,), **more) -> tensor_pb2.TensorSpec:
    return tensor_pb2.TensorSpec(name=name, datatype=datatype, shape=shape, **more)


def row(**outputs: float) -> route_pb2.FallbackStep.Row:
    return FallbackStep.Row(outputs={name: FallbackStep.Values(numbers=[number]) for name, number in outputs.items()})


def test_each_kind_is_read():
    half_a_second = duration_pb2.Duration(nanos=500_000_000)
    backup = ResolvedFallbackStep.ResolvedBackup(digest=V2.digest, pool="cpu")
    made = table_of(
        with_steps(
            ResolvedFallbackStep(name="small", backup=backup, min_time_left=half_a_second),
            ResolvedFallbackStep(name="same", backup=ResolvedFallbackStep.ResolvedBackup()),
            ResolvedFallbackStep(name="batch", precomputed=True),
            ResolvedFallbackStep(name="old", stale=duration_pb2.Duration(seconds=90)),
            ResolvedFallbackStep(name="zero", constant=row(y=0.0)),
            ResolvedFallbackStep(name="some", entity_table=FallbackStep.EntityTable(rows={"e": row(y=1.0)})),
        ),
        {},
    )
    small, same, batch, old, zero, some = made.fallback
    assert isinstance(small, Backup)
    assert small.served is not None
    assert (small.name, small.min_time_left_s, small.served.version, small.pool) == ("small", 0.5, "v2", "cpu")
    assert same == Backup("same", None, None, "default")
    assert batch == Precomputed("batch", None)
    assert old == Stale("old", None, 90.0)
    assert isinstance(zero, Given)
    assert zero.row("") is zero.row("anybody") is not None
    assert isinstance(some, Given)
    assert (some.row("e") is not None, some.row("")) == (True, None)
    assert [one.name for one in made.pinned_fallback] == ["same", "batch", "old"]
    assert {one.version for one in made.served_versions()} == {"v1", "v2"}


@pytest.mark.parametrize(
    ("step", "told"),
    [
        pytest.param(ResolvedFallbackStep(constant=row(y=0.0)), "has no name", id="nameless"),
        pytest.param(ResolvedFallbackStep(name="new"), "no source that is known here", id="a kind of the future"),
        pytest.param(
            ResolvedFallbackStep(name="gone", backup=ResolvedFallbackStep.ResolvedBackup(digest="ff")),
            "not in the table",
            id="a version",
        ),
        pytest.param(
            ResolvedFallbackStep(name="zero", constant=row(z=0.0)), "does not fit version 'v1'", id="an output"
        ),
        pytest.param(
            ResolvedFallbackStep(name="zero", constant=FallbackStep.Row()), "output 'y' is missing", id="no output"
        ),
    ],
)
def test_a_table_with_a_fallback_that_cannot_be_read_is_refused(step, told):
    with pytest.raises(ValueError, match=told):
        table_of(with_steps(step), {})


def test_hedging_is_off_unless_the_route_says_so():
    proto = table("digits", [V1])
    assert table_of(proto, {}).hedge is None
    proto.hedging.SetInParent()
    assert table_of(proto, {}).hedge == Hedge(None)
    proto.hedging.delay.FromMilliseconds(20)
    assert table_of(proto, {}).hedge == Hedge(0.02)


def asked(version: control_pb2.ResolvedVersion, backup: control_pb2.ResolvedVersion, *described, outputs=()):
    """Return a request to a version, put to its backup."""
    made = table_of(
        with_steps(
            ResolvedFallbackStep(name="b", backup=ResolvedFallbackStep.ResolvedBackup(digest=backup.digest)),
            versions=(version, backup),
        ),
        {},
    )
    variant = made.assign(user_id="u", entity_id="", request_id="r")
    tensors = Tensors(tuple(one[:-1] for one in described), tuple(one[-1] for one in described))
    layout = variant.served.layout(tensors.described, 64)
    inputs = [tensors.contents[index] for index in layout.order]
    request = Request("digits", lambda _contract, _max_rows: tensors, outputs=outputs)
    resolved = ResolvedRequest(
        made,
        variant,
        request,
        Call(Identity("a"), "r", 1.0),
        tensors,
        layout,
        inputs,
        variant.served.selection(outputs),
    )
    (step,) = made.fallback
    assert isinstance(step, Backup)
    assert step.served is not None
    return resolved, fitted(resolved, step.served, 64)


USER, ITEM = ("user", "FP32", 2, 4, b"u" * 32), ("item", "FP32", 2, 4, b"i" * 32)
BOTH = resolved_version("digits", "both", inputs=[spec("user"), spec("item")], outputs=[spec("y"), spec("z")])


def test_a_backup_of_the_same_contract_gets_the_question_as_it_is():
    same = resolved_version("digits", "same", inputs=[spec("user"), spec("item")], outputs=[spec("y"), spec("z")])
    resolved, put = asked(BOTH, same, ITEM, USER)
    assert put is resolved


def test_a_backup_gets_only_the_inputs_that_it_knows_in_its_own_order():
    turned = resolved_version("digits", "turned", inputs=[spec("item"), spec("user")], outputs=[spec("z"), spec("y")])
    _, put = asked(BOTH, turned, USER, ITEM, outputs=("y",))
    assert put is not None
    assert (put.inputs, put.outputs, put.layout.rows) == ([ITEM[-1], USER[-1]], (1,), 2)
    simple = resolved_version("digits", "simple", inputs=[spec("user")], outputs=[spec("y")])
    _, put = asked(BOTH, simple, USER, ITEM)
    assert put is not None
    assert (put.inputs, put.outputs) == ([USER[-1]], ())


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([spec("user", "FP64"), spec("item")], id="another datatype"),
        pytest.param([spec("user"), spec("item"), spec("context")], id="an input more"),
        pytest.param([spec("context", optional=True)], id="none of the inputs"),
    ],
)
def test_a_backup_that_the_inputs_do_not_fit_gets_no_question(other):
    _, put = asked(BOTH, resolved_version("digits", "other", inputs=other), USER, ITEM)
    assert put is None


def test_a_backup_without_an_output_that_is_wanted_gets_no_question():
    _, put = asked(BOTH, resolved_version("digits", "y", inputs=[spec("user")]), USER, ITEM, outputs=("z",))
    assert put is None
