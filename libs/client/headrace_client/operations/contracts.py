"""What a model takes and gives, as the data plane says it, for the scope `predict`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from headrace.tensor.v1 import tensor_pb2

from headrace_client.calls import Operation, Page, Session, authorization, token_of
from headrace_client.errors import DeadlineExceeded, HeadraceError, InvalidArgument
from headrace_client.tables import Inputs, typed_inputs
from headrace_client.tensors import Input

_TIMEOUT_S = 5.0
_VIOLATED = "CONTRACT_VIOLATED"


def contract(
    session: Session, model: str, version: str = "", *, timeout: float = _TIMEOUT_S
) -> Operation[tensor_pb2.ServingContract]:
    """Return the inputs and outputs of a model: of a version that its route names, or of the one that most get.

    It takes the scope `predict`. Whether an input allows NaN is not in it (`versions.get` has it). timeout: seconds.
    Raises a HeadraceError.
    """
    at = f"/versions/{quote(version, safe='')}" if version else ""
    path = f"/v2/models/{quote(model, safe='')}{at}/config"
    token = yield from token_of(session)
    pages, metadata = session.pages, (*authorization(token), *session.headers)
    assert pages is not None, "a client's session has them"
    text: str = yield Page(lambda: pages.read(path, metadata, timeout, kind="application/json"))
    return from_configuration(text)


def with_types(
    session: Session,
    model: str,
    version: str,
    inputs: Inputs | None,
    timeout_s: float,
    call: Callable[[Mapping[str, Input] | None, float], Operation[Any]],
) -> Operation[Any]:
    """Return what a call with the inputs returns, where they need it with the datatypes of the contract.

    The contract is read for a table, and when the data plane refuses arrays; then it is known to the session, so that
    neither costs another call. One that no longer holds is read again. timeout_s: for all of it. call: gets the inputs,
    and the seconds that are left.
    """
    ends = session.monotonic() + timeout_s
    if inputs is None:
        return (yield from call(None, timeout_s))
    place = (model, version)
    known = session.contracts.get(place)
    refused: InvalidArgument | None = None
    try:
        if known is not None:
            return (yield from call(typed_inputs(inputs, known), timeout_s))
        if isinstance(inputs, Mapping):
            return (yield from call(inputs, timeout_s))
    except InvalidArgument as error:
        if known is None and error.reason != _VIOLATED:
            raise
        refused = error
    try:
        latest = yield from contract(session, model, version, timeout=_left(session, ends, timeout_s))
    except HeadraceError:
        if refused is None:
            raise
        raise refused from None  # says more than why it cannot be mended
    if refused is not None and latest == known:
        raise refused
    session.contracts[place] = latest
    return (yield from call(typed_inputs(inputs, latest), _left(session, ends, timeout_s)))


def _left(session: Session, ends: float, timeout_s: float) -> float:
    """Return the seconds that are left. Raises DeadlineExceeded."""
    left_s = ends - session.monotonic()
    if left_s <= 0:
        raise DeadlineExceeded(f"no answer within {timeout_s:g} s")
    return left_s


def from_configuration(text: str) -> tensor_pb2.ServingContract:
    """Return the contract that a configuration in Triton's terms describes. Raises HeadraceError for one of none."""
    try:
        document = json.loads(text)
        said = document.get("parameters", {}).get("columns", {}).get("string_value", "{}")
        columns: dict[str, list[str]] = json.loads(said)
        return tensor_pb2.ServingContract(
            inputs=[_spec(tensor, columns.get(tensor["name"], ())) for tensor in document["input"]],
            outputs=[_spec(tensor) for tensor in document["output"]],
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise HeadraceError(f"the front door describes the model in no form that is known: {text[:80]!r}") from error


def _spec(tensor: dict[str, object], columns: Iterable[str] = ()) -> tensor_pb2.TensorSpec:
    kind = str(tensor["data_type"]).removeprefix("TYPE_")
    return tensor_pb2.TensorSpec(
        name=str(tensor["name"]),
        datatype="BYTES" if kind == "STRING" else kind,
        shape=[] if "reshape" in tensor else tensor["dims"],  # type: ignore[arg-type]
        optional=bool(tensor.get("optional")),
        nan_allowed=True,  # the data plane decides, and says so
        columns=columns,
    )
