"""Many callers at once over every protocol, each of whose answers says to whom it belongs: none may get another's.

The model answers with its inputs, and every input is of one caller and one question. Half of the questions take kept
answers, half have theirs computed; now and then one is cancelled, so that answers arrive that nobody awaits any more.
"""

from __future__ import annotations

import json
import random
import select
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2

from benchmarks.load.calls import MODEL_INFER, PREDICT, Call
from benchmarks.load.connection import Answered, Connection
from benchmarks.load.endings import OK
from benchmarks.load.workload import Workload
from tests.kit.router.inference_requests import pb2
from tests.kit.wire.framing import frame

STREAMS = 32
# Questions of one caller; each is asked again and again.
QUESTIONS = 500
# Of the requests in flight on a connection one is cancelled in so many turns.
CANCEL_ONE_IN = 20
WITHIN_S = 30.0
_CANCEL = b"\0\0\4\3\0%b\0\0\0\x08"

Right = Callable[[bytes, int], bool]


@dataclass
class Tally:
    """What came of all requests. outcomes: by how they ended. cancelled: those that were not awaited."""

    outcomes: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    seconds: float = 0.0


class Caller:
    """Somebody with a token of their own, on a connection of their own, who asks in one way."""

    def __init__(self, address: str, token: str, call: Call, seen: Answered) -> None:
        host, _, port = address.rpartition(":")
        self._seen = seen
        headers = [(name, value) for name, value in call.headers(address, token) if name != "grpc-timeout"]
        self.connection = Connection((host, int(port)), call, headers, Workload(range(-QUESTIONS, 0)), seen)

    def begin(self) -> None:
        """Ask as many questions at once as are allowed, and another one for each that is answered."""
        self.connection.again = True
        self.connection.backlog.extend([time.perf_counter()] * STREAMS)
        self.connection.pump()

    def cancel_one(self, rng: random.Random) -> bool:
        """Cancel one request in flight, and ask something else."""
        one = self.connection
        if not one.flights:
            return False
        stream = rng.choice(list(one.flights))
        del one.flights[stream]
        one.write(_CANCEL % stream.to_bytes(4, "big"))
        one.backlog.append(time.perf_counter())
        one.pump()
        return True


def play(address: str, tokens: Sequence[str], model: str, count: int, *, seed: int = 1) -> Tally:
    """Have a caller for each token, over all protocols in turn, until so many requests were answered or refused."""
    rng, seen, tally = random.Random(seed), Answered(counting=True), Tally()
    protocols = (_predict, _infer, _rows)
    made = []
    try:
        for number, token in enumerate(tokens):
            made.append(Caller(address, token, protocols[number % len(protocols)](model, number), seen))
        began = time.perf_counter()
        for one in made:
            one.begin()
        while seen.outcomes.total() < count:
            _turn(made)
            for one in made:
                if rng.randrange(CANCEL_ONE_IN) == 0:
                    tally.cancelled += one.cancel_one(rng)
        for one in made:
            one.connection.again = False
            one.connection.backlog.clear()
        while any(one.connection.flights for one in made):
            _turn(made)
        tally.seconds = time.perf_counter() - began
    finally:
        for one in made:
            one.connection.close()
    tally.outcomes = seen.outcomes
    return tally


def describe(tally: Tally) -> str:
    """Return the tally as one line."""
    others = {name: count for name, count in tally.outcomes.items() if name != OK}
    return (
        f"{tally.outcomes[OK]:,} right answers in {tally.seconds:.0f} s, {tally.cancelled:,} requests cancelled, "
        f"others: {others or 'none'}"
    )


def _turn(made: Sequence[Caller]) -> None:
    connections = [one.connection for one in made]
    readable, writable, _ = select.select(connections, [one for one in connections if one.out], [], WITHIN_S)
    assert readable or writable, f"nothing was answered for {WITHIN_S} s"
    for one in writable:
        one.write(b"")
    for one in readable:
        one.read()
        one.pump()


def _row(caller: int, question: int) -> tuple[float, float, float, float]:
    """Return the input that is this caller's and question's alone; each number has its place, so none can stray."""
    return (float(caller), float(question), float(question * 7919 % 104_729), -float(caller * QUESTIONS + question))


def _name(caller: int, question: int) -> str:
    return f"caller-{caller:03d}-question-{question:05d}"


def _computed(question: int) -> bool:
    """Whether a question takes no kept answer."""
    return question % 2 == 0


def _predict(model: str, caller: int) -> Call:
    bodies = []
    for question in range(QUESTIONS):
        message = predict_pb2.PredictRequest(model=model, request_id=_name(caller, question))
        message.inputs.append(tensor_pb2.Tensor(name="x", datatype="FP32", shape=[1, 4]))
        message.raw_input_contents.append(struct.pack("<4f", *_row(caller, question)))
        if _computed(question):
            message.max_age.SetInParent()
        bodies.append(frame(message.SerializeToString()))
    return Call(PREDICT, "application/grpc", bodies, _ends_with(caller), by_entity=False)


def _infer(model: str, caller: int) -> Call:
    bodies = []
    for question in range(QUESTIONS):
        message: Any = pb2.ModelInferRequest(model_name=model, id=_name(caller, question))
        message.inputs.add(name="x", datatype="FP32", shape=[1, 4])
        message.raw_input_contents.append(struct.pack("<4f", *_row(caller, question)))
        if _computed(question):
            message.parameters["headrace_max_age_ms"].int64_param = 0
        bodies.append(frame(message.SerializeToString()))
    return Call(MODEL_INFER, "application/grpc", bodies, _ends_with(caller), by_entity=False)


def _rows(model: str, caller: int) -> Call:
    bodies = [
        json.dumps({"instances": [_row(caller, question)], "request_id": _name(caller, question)}).encode()
        for question in range(QUESTIONS)
    ]

    def right(body: bytes, question: int) -> bool:
        answer = json.loads(body)
        named = answer["request_id"] == _name(caller, question)
        return named and tuple(answer["predictions"][0]) == _row(caller, question)

    return Call(f"/v1/models/{model}:predict", "application/json", bodies, right, by_entity=False)


def _ends_with(caller: int) -> Right:
    # The raw contents of the only output come last, in both protocols.
    ends = [struct.pack("<4f", *_row(caller, question)) for question in range(QUESTIONS)]
    names = [_name(caller, question).encode() for question in range(QUESTIONS)]

    def right(body: bytes, question: int) -> bool:
        whole = len(body) > 5 and int.from_bytes(body[1:5], "big") == len(body) - 5
        return whole and body.endswith(ends[question]) and names[question] in body

    return right
