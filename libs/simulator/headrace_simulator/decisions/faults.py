"""What a fault is, and which faults meet a call: pure functions of what was set, of time and of the call's number."""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from headrace_simulator.decisions.latency import Latency
from headrace_simulator.decisions.wrong_outputs import Wrong

EVERY_MODEL = "*"
MAX_FAULTS = 64
NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_LONGEST_S = 7 * 86_400.0


class Operation(enum.Enum):
    """What is asked of a server, as far as faults tell calls apart."""

    INFER = "infer"
    LOAD = "load"
    MODEL = "model"
    """Something else about one model."""
    SERVER = "server"
    """Something about the server itself."""


class _Fault(BaseModel):
    """What all faults have.

    model: the name of one in Triton, `{model}--{version}` where a batcher loads it; `*` for all. share: of the calls
    that the fault is about. seed: which of them. after_s: how long it waits. for_s: when it ends by itself, None never.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field(default=EVERY_MODEL, min_length=1, max_length=256)
    share: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**63)
    after_s: float = Field(default=0.0, ge=0, le=_LONGEST_S)
    for_s: float | None = Field(default=None, gt=0, le=_LONGEST_S)


class Dead(_Fault):
    """The backend does not answer. For every model and without a share: connections are refused, as if no process were
    there."""

    kind: Literal["dead"]


class Slow(_Fault, Latency):
    """Executions take so much longer."""

    kind: Literal["slow"]


class Wedge(_Fault):
    """Calls are accepted and not answered until the fault ends; of every model, also those about the server."""

    kind: Literal["wedge"]


class OutOfMemory(_Fault):
    """Memory is short, as a backend of Triton says it."""

    kind: Literal["out-of-memory"]
    on: Literal["infer", "load"] = "infer"


class SlowLoad(_Fault):
    """Loading takes so much longer."""

    kind: Literal["slow-load"]
    delay_s: float = Field(gt=0, le=3600)


class WrongOutputs(_Fault):
    """Answers are not what the model computed."""

    kind: Literal["wrong"]
    how: Wrong = Wrong.SHAPE


Fault = Annotated[Dead | Slow | Wedge | OutOfMemory | SlowLoad | WrongOutputs, Field(discriminator="kind")]
FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)
FAULTS: TypeAdapter[dict[Annotated[str, Field(pattern=NAME, max_length=64)], Fault]] = TypeAdapter(
    dict[Annotated[str, Field(pattern=NAME, max_length=64)], Fault]
)

_OPERATIONS: Mapping[str, frozenset[Operation]] = {
    "dead": frozenset((Operation.INFER, Operation.LOAD, Operation.MODEL)),
    "slow": frozenset((Operation.INFER,)),
    "wedge": frozenset((Operation.INFER, Operation.LOAD, Operation.MODEL)),
    "slow-load": frozenset((Operation.LOAD,)),
    "wrong": frozenset((Operation.INFER,)),
}

_KINDS = frozenset((*_OPERATIONS, "out-of-memory"))


@dataclass(frozen=True, slots=True)
class ScheduledFault:
    """A fault in its time, in seconds of one clock. ends_s: infinite for one that a caller ends."""

    name: str
    fault: Fault
    begins_s: float
    ends_s: float

    def active(self, now: float) -> bool:
        """Return whether it is in force."""
        return self.begins_s <= now < self.ends_s


def scheduled(name: str, fault: Fault, now: float) -> ScheduledFault:
    """Return a fault that is set now, in its time."""
    begins_s = now + fault.after_s
    return ScheduledFault(name, fault, begins_s, math.inf if fault.for_s is None else begins_s + fault.for_s)


def concerns(fault: Fault, operation: Operation, model: str) -> bool:
    """Return whether a fault is about such calls, whatever its share."""
    if operation is Operation.SERVER:
        return isinstance(fault, Wedge) and fault.model == EVERY_MODEL
    operations = frozenset((Operation(fault.on),)) if isinstance(fault, OutOfMemory) else _OPERATIONS[fault.kind]
    return operation in operations and fault.model in (EVERY_MODEL, model)


def strikes(fault: Fault, number: int) -> bool:
    """Return whether a fault meets a call. number: of the call among those that the fault is about, from 0.

    The same seed meets the same calls.
    """
    return fault.share >= 1.0 or random.Random(f"{fault.seed}:{number}").random() < fault.share


def refuses_connections(faults: Iterable[ScheduledFault], now: float) -> bool:
    """Return whether the port is closed."""
    return any(
        isinstance(one.fault, Dead) and one.fault.model == EVERY_MODEL and one.fault.share >= 1.0 and one.active(now)
        for one in faults
    )


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return the first field of faults that is wrong, and what is wrong with it."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # pydantic's path includes the kind, which is no field.
    path = [str(part) for part in found["loc"] if part not in _KINDS]
    return ".".join(path) or "kind", found["msg"]


def next_change_s(faults: Iterable[ScheduledFault], now: float) -> float:
    """Return when the next fault begins or ends, infinite for never."""
    return min((at for one in faults for at in (one.begins_s, one.ends_s) if at > now), default=math.inf)
