"""What the parameters of an inference request ask for, whether they came as protobuf or as JSON.

The protocol reserves some names, Triton some more; ours begin with `headrace_`. All others are for the model, and no
model here takes any: they are ignored, as other servers do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from headrace_servicekit.errors import FieldViolation, InvalidArgument

from headrace_router.data.request.request import MAX_ATTRIBUTES, MAX_TEXT_CHARS
from headrace_router.rules import NO_ATTRIBUTES

OURS, RESERVED, ATTRIBUTE = "headrace_", "triton_", "headrace_attribute_"
# A client that streams asks for it; what becomes of it is up to the stream (`infer_stream.py`).
_HARMLESS = ("triton_enable_empty_final_response",)
# The classes of `InferRequest`: 1 online, 2 shadow, 3 batch. A larger number is as little urgent as the last.
SHADOW = 2
LEAST_URGENT = 3

Parameters = Mapping[str, Any]


class RequestParameters(NamedTuple):
    """What a request asks for beyond its tensors.

    binary_output: REST only, whether outputs that say nothing come as bytes. The rest is as in `Request`.
    """

    priority: int = 0
    timeout_s: float | None = None
    binary_output: bool = False
    user_id: str = ""
    entity_id: str = ""
    max_age_s: float | None = None
    explain: bool = False
    attributes: Mapping[str, str] = NO_ATTRIBUTES


NO_PARAMETERS = RequestParameters()


def request_parameters(
    parameters: Parameters, value_of: Callable[[str, Any], Any] = lambda _field, value: value
) -> RequestParameters:
    """Return what the request's parameters ask for. Raises InvalidArgument naming the first that cannot be.

    value_of: gives the Python value of one, which errors call by a field.
    """
    if len(parameters) > MAX_ATTRIBUTES:
        raise refused("parameters", f"has {len(parameters)} members; at most {MAX_ATTRIBUTES} are taken")
    found: dict[str, Any] = {}
    attributes: dict[str, str] = {}
    for name, parameter in parameters.items():
        field = f"parameters.{name[:64]}"
        value = value_of(field, parameter)
        known = KNOWN.get(name)
        if known is not None:
            target, convert = known
            found[target] = convert(field, value)
        elif name.startswith(ATTRIBUTE) and len(name) > len(ATTRIBUTE):
            attributes[name[len(ATTRIBUTE) :]] = _text(field, value)
        elif name.startswith("sequence_"):
            if value not in (0, "", False):  # what a client sends for no sequence
                problem = "models keep nothing between requests: send each request without sequence parameters"
                raise refused(field, problem, "SEQUENCE_NOT_SERVED")
        elif name.startswith(OURS):
            known_names = sorted(one for one in KNOWN if one.startswith(OURS))
            problem = f"unknown; known: {', '.join(known_names)}, {ATTRIBUTE}NAME"
            raise refused(field, problem, "UNKNOWN_FIELD")
        elif name.startswith(RESERVED) and name not in _HARMLESS:
            raise refused(field, f"names that begin with {RESERVED} are reserved", "RESERVED_PARAMETER")
    if attributes:
        found["attributes"] = attributes
    return RequestParameters(**found) if found else NO_PARAMETERS


def check_tensor_parameters(field: str, names: Iterable[str]) -> None:
    """Check the names of a tensor's parameters. Raises InvalidArgument for what would change the meaning of its values.

    field: of the tensor, such as `outputs[0]`.
    """
    for name in names:
        if name.startswith("shared_memory_"):
            problem = (
                "no memory is shared with clients: send the values in the request, and read them from the response"
            )
            raise refused(f"{field}.parameters.{name[:64]}", problem, "SHARED_MEMORY_NOT_SERVED")
        if name == "classification":
            problem = "outputs are returned as they are: take the largest values yourself"
            raise refused(f"{field}.parameters.{name}", problem, "CLASSIFICATION_NOT_SERVED")


def refused(field: str, problem: str, reason: str = "INVALID_FIELD") -> InvalidArgument:
    """Return the error for one field of a request."""
    return InvalidArgument(f"{field}: {problem}", reason=reason, violations=[FieldViolation(field, problem)])


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        raise refused(field, f"a string of at most {MAX_TEXT_CHARS} characters is needed")
    return value


def _flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise refused(field, "true or false is needed")
    return value


def _priority(field: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise refused(field, f"0 to {LEAST_URGENT} is needed: 1 is the most urgent, 0 leaves it to the server")
    if value == SHADOW:
        raise refused(field, f"{SHADOW} is for copies that the platform makes: say 1, or {LEAST_URGENT} for bulk work")
    return min(value, LEAST_URGENT)


def _timeout_s(field: str, value: Any) -> float | None:
    if type(value) is not int or value < 0:
        raise refused(field, "a whole number of microseconds is needed, 0 for none")
    return value / 1e6 if value else None


def _age_s(field: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise refused(field, "a number of milliseconds is needed, 0 or more")
    return value / 1000


KNOWN: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "priority": ("priority", _priority),
    "timeout": ("timeout_s", _timeout_s),
    "binary_data_output": ("binary_output", _flag),
    "headrace_user_id": ("user_id", _text),
    "headrace_entity_id": ("entity_id", _text),
    "headrace_max_age_ms": ("max_age_s", _age_s),
    "headrace_explain": ("explain", _flag),
}
