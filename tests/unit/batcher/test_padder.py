"""Rows of different sizes share a batch where a version declares padding, and each answer has its own sizes."""

import asyncio
import math
from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import pytest
from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.decisions.answers import Answer
from headrace_batcher.decisions.padded_sizes import MOST_BYTES, Padding, plan
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.work import Work
from headrace_runtime.contract import Contract, TensorSpec
from headrace_runtime.shapes import Layout, OutputTensor, ShapeKey
from headrace_servicekit.testing import eventually
from hypothesis import given

from tests.kit.batcher.scripted_backend import Collected

WORDS = Contract(
    (TensorSpec("ids", "INT64", (-1,)), TensorSpec("mask", "FP32", (-1, 2))),
    (TensorSpec("scores", "FP32", (-1,)), TensorSpec("total", "INT64", (1,))),
)
PADDING = Padding((4, 8), (("mask", -1.0),))


class Words:
    """A model of sequences: scores are ten times the ids, total is their sum. executed: shape of ids each time."""

    load_control = True

    def __init__(self) -> None:
        self.executed: list[tuple[int, ...]] = []
        self.masks: list[np.ndarray] = []

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        ids = np.frombuffer(inputs[0], "<i8").reshape(rows, *layout.row_shapes[0])
        self.masks.append(np.frombuffer(inputs[1], "<f4").reshape(rows, *layout.row_shapes[1]))
        self.executed.append(ids.shape)
        scores = (ids * 10).astype("<f4")
        total = ids.sum(axis=1, keepdims=True).astype("<i8")
        return [
            OutputTensor("scores", "FP32", scores.shape, scores.tobytes()),
            OutputTensor("total", "INT64", total.shape, total.tobytes()),
        ]


async def ask(
    model: Words, *sequences: list[list[int]], padding: Padding | None = PADDING, max_rows: int = 8
) -> tuple[list[Answer], Batcher]:
    """Return the answers to requests of so many rows each, all of one turn, and the batcher."""
    sink, works = Collected(), []
    batcher = Batcher("words", WORDS, Limits(max_rows=max_rows), model, padding=padding)  # type: ignore[arg-type]
    serving = asyncio.create_task(batcher.serve_forever())
    for at, rows in enumerate(sequences):
        ids = np.array(rows, "<i8")
        mask = np.ones((*ids.shape, 2), "<f4")
        key = ShapeKey((), (ids.shape[1], ids.shape[1]))
        works.append(Work(sink, at, batcher, len(rows), [ids.tobytes(), mask.tobytes()], 0.0, key))
        batcher.submit(works[-1])
    await eventually(lambda: len(sink.outcomes) == len(works))
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    answers = [sink.outcomes[work.id] for work in works]
    return [answer for answer in answers if isinstance(answer, Answer)], batcher


def scores(answer: Answer) -> list[list[float]]:
    shape = answer.row_shapes[0]
    return np.frombuffer(bytes(answer.values[0]), "<f4").reshape(-1, *shape).tolist()


async def test_rows_of_one_bucket_share_an_execution_and_each_answer_has_its_own_length():
    model = Words()
    (first, second, third), batcher = await ask(model, [[1, 2, 3]], [[4], [5]], [[1, 2, 3, 4]])
    assert model.executed == [(4, 4)]
    assert (scores(first), scores(second)) == ([[10, 20, 30]], [[40], [50]])
    assert scores(third) == [[10, 20, 30, 40]]
    assert first.row_shapes == ((3,), (1,))
    assert np.frombuffer(bytes(second.values[1]), "<i8").tolist() == [4, 5]
    assert model.masks[0][0].tolist() == [[1, 1]] * 3 + [[-1, -1]]
    # Sixteen bytes an id and its mask: four of 16 were padding for the first, and six for the second.
    counters = batcher.counters
    assert (counters.padding_bytes, counters.padded_bytes) == ((1 + 6) * 16, 12 * 16)


async def test_without_padding_rows_of_one_size_go_together():
    model = Words()
    await ask(model, [[1, 2, 3]], [[4]], [[5]], padding=None)
    assert sorted(model.executed) == [(1, 3), (2, 1)]


async def test_what_is_longer_than_every_bucket_stays_as_it_is():
    model = Words()
    (answer, other), _ = await ask(model, [list(range(9))], [[7] * 5])
    assert sorted(model.executed) == [(1, 8), (1, 9)]
    assert (len(scores(answer)[0]), scores(other)) == (9, [[70] * 5])


async def test_a_request_larger_than_a_batch_is_padded_split_and_joined():
    model = Words()
    (answer,), _ = await ask(model, [[at, at, at] for at in range(5)], max_rows=2)
    assert scores(answer) == [[at * 10] * 3 for at in range(5)]
    assert answer.row_shapes == ((3,), (1,))
    assert {shape[1] for shape in model.executed} == {4}


@pytest.mark.parametrize(
    ("dims", "answers_vary", "padded"),
    [
        pytest.param((3, 3), True, (4, 4), id="alike"),
        pytest.param((3, 4), True, None, id="an output of 4 could be either"),
        pytest.param((3, 4), False, (4, 4), id="no output varies"),
        pytest.param((3, 5), True, (4, 8), id="apart"),
        pytest.param((4, 8), True, None, id="nothing to pad"),
        pytest.param((9,), True, None, id="too large"),
        pytest.param((0,), True, (4,), id="empty"),
    ],
)
def test_what_becomes_of_sizes(dims, answers_vary, padded):
    planned = plan(PADDING, dims, answers_vary=answers_vary)
    assert (None if planned is None else planned.dims) == padded


@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=6, unique=True).map(sorted),
    st.lists(st.integers(0, 300), min_size=1, max_size=5),
    st.booleans(),
)
def test_every_padded_size_is_the_least_that_fits_and_leads_back(sizes, dims, answers_vary):
    padding = Padding(tuple(sizes))
    planned = plan(padding, tuple(dims), answers_vary=answers_vary)
    if planned is None:
        return
    for size, padded in zip(dims, planned.dims, strict=True):
        assert padded == min([one for one in sizes if one >= size], default=size)
        if answers_vary:
            assert dict(planned.cut).get(padded, padded) == size


@given(st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=10), min_size=1, max_size=6))
def test_answers_are_those_of_each_request_alone(sequences):
    answers, _ = asyncio.run(ask(Words(), *[[one] for one in sequences]))
    for sequence, answer in zip(sequences, answers, strict=True):
        assert scores(answer) == [[10.0 * one for one in sequence]]
        assert math.isclose(np.frombuffer(bytes(answer.values[1]), "<i8")[0], sum(sequence))


@pytest.mark.parametrize(
    ("rows", "padded"),
    [pytest.param(MOST_BYTES // (65536 * 16), 65536, id="as large as a message"), pytest.param(17, 3, id="larger")],
)
async def test_a_request_is_padded_to_no_more_than_a_message_may_have(rows, padded):
    model = Words()
    (answer,), batcher = await ask(model, [[1, 2, 3]] * rows, padding=Padding((65536,)), max_rows=32)
    assert {shape[1] for shape in model.executed} == {padded}
    assert scores(answer) == [[10, 20, 30]] * rows
    assert batcher.counters.padded_bytes in (0, MOST_BYTES)
