"""A stream of predictions of a version that answers in parts: what the SDK hands on, and what a terminal shows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace_client.calls import Listen, Session
from headrace_client.cli.output import Output
from headrace_client.cli.predict import StreamedParts
from headrace_client.errors import HeadraceError, Unavailable
from headrace_client.operations.prediction import Prediction, predict_stream
from headrace_client.retries import RetryPolicy
from headrace_client.tokens import TokenCache


def part(number: int | None, *, first_row: int = 0, value: float = 0.0, rows: int = 1) -> Any:
    """Return what PredictStream sends."""
    answer = predict_pb2.PredictResponse(version="v1", prediction_id="p")
    answer.outputs.add(name="y", datatype="FP32", shape=[rows, 1])
    answer.raw_output_contents.append(np.full(rows, value, "<f4").tobytes())
    return predict_pb2.PredictStreamResponse(first_row=first_row, response=answer, part=number)


def streamed(
    *tries: tuple[Sequence[Any], HeadraceError | None],
) -> tuple[list[tuple[int, Prediction]], list[Listen], Any]:
    """Return what is received, the calls that were made and the error; of each try what comes, and how it fails."""
    received: list[tuple[int, Prediction]] = []
    session = Session(
        TokenCache(None), RetryPolicy(),
        monotonic=lambda: 0.0, now_s=lambda: 0.0, random=lambda: 0.5, new_id=lambda: "id",
    )  # fmt: skip
    asked = predict_stream(session, "m", {"x": np.zeros((1, 1), np.float32)}, lambda *one: received.append(one))
    calls: list[Listen] = []
    left, result = iter(tries), None
    with contextlib.suppress(StopIteration):
        while True:
            try:
                step = asked.throw(result) if isinstance(result, Exception) else asked.send(result)
            except HeadraceError as error:
                return received, calls, error
            result = None
            if isinstance(step, Listen):
                calls.append(step)
                answers, result = next(left)
                for answer in answers:
                    step.received(answer)
    return received, calls, None


def test_each_part_is_handed_on_with_its_position_in_the_order_of_its_coming() -> None:
    received, calls, error = streamed(([part(at, value=at) for at in range(3)], None))
    assert error is None
    assert [(row, one.part, float(one.outputs["y"][0, 0])) for row, one in received] == [
        (0, 0, 0.0),
        (0, 1, 1.0),
        (0, 2, 2.0),
    ]
    assert len(calls) == 1


def test_an_answer_of_which_a_part_came_is_not_asked_for_again() -> None:
    received, calls, error = streamed(([part(0)], Unavailable("gone")), ([part(0)], None))
    assert (len(received), len(calls)) == (1, 1)
    assert isinstance(error, Unavailable)


def test_one_of_which_nothing_came_is_and_so_are_rows_that_are_answered_once() -> None:
    received, calls, error = streamed(([], Unavailable("gone")), ([part(0)], None))
    assert (len(received), len(calls), error) == (1, 2, None)
    received, calls, error = streamed(
        ([part(None)], Unavailable("gone")), ([part(None), part(None, first_row=1)], None)
    )
    assert ([(row, one.part) for row, one in received], len(calls)) == ([(0, None), (1, None)], 2)


def shown(parts: StreamedParts, *answers: Any) -> None:
    for one in answers:
        answer = Prediction.from_proto(one.response)
        parts.received(one.first_row, replace(answer, part=one.part if one.HasField("part") else None))
    parts.end()


def test_a_terminal_shows_which_part_of_which_rows_it_is_and_counts_no_row_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown(StreamedParts(Output(as_json=False)), *(part(at, rows=2) for at in range(3)), part(0, first_row=2))
    out = capsys.readouterr().out
    assert "rows 0 to 1, part 2" in out
    assert "rows 2 to 2, part 0" in out
    assert "3 rows in 4 parts" in out


def test_a_document_has_the_parts_in_their_order_by_rows(capsys: pytest.CaptureFixture[str]) -> None:
    shown(StreamedParts(Output(as_json=True)), part(0, first_row=1), part(0), part(1, value=5.0), part(1, first_row=1))
    document = json.loads(capsys.readouterr().out)
    assert [(one["first_row"], one["part"]) for one in document["parts"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert document["parts"][1]["outputs"] == {"y": [[5.0]]}
