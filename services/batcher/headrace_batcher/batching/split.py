"""A request that is larger than a batch may be: its pieces, and the one answer that they make together."""

from __future__ import annotations

import dataclasses

from headrace_runtime import shapes
from headrace_runtime.shapes import Layout
from headrace_servicekit.errors import Code

from headrace_batcher.decisions.answers import Answer, Failure
from headrace_batcher.decisions.work import DONE, State, Work


class Split:
    """Waits for the pieces of a request that was too large for one batch, and gives it one answer in order."""

    def __init__(self, whole: Work) -> None:
        self._whole = whole
        self._answers: dict[int, Answer] = {}
        self._pieces: list[Work] = []

    def pieces(self, layout: Layout, max_rows: int) -> list[Work]:
        """Return the pieces, ready for the queue; their id is their place."""
        whole = self._whole
        sizes = shapes.piece_rows(whole.rows, max_rows)
        inputs = shapes.split_inputs(layout, whole.inputs, sizes)
        self._pieces = [
            dataclasses.replace(
                whole,
                sink=self,
                id=at,
                is_piece=True,
                rows=rows,
                inputs=inputs[at],
                size_bytes=sum(map(len, inputs[at])),
                state=State.NEW,
            )
            for at, rows in enumerate(sizes)
        ]
        return self._pieces

    def settle(self, work: Work, outcome: Answer | Failure) -> None:
        whole = self._whole
        if whole.state is DONE:
            return
        if isinstance(outcome, Answer):
            self._answers[work.id] = outcome
            if len(self._answers) < len(self._pieces):
                return
            outcome = self._joined()
            self._count(outcome)
        whole.state = DONE
        for piece in self._pieces:
            whole.batcher.discard(piece)
        whole.sink.settle(whole, outcome)

    def _count(self, outcome: Answer | Failure) -> None:
        """Count the request once: its pieces are not counted when they are answered."""
        counters = self._whole.batcher.counters
        if isinstance(outcome, Answer):
            counters.answered += 1
        else:
            counters.failed[outcome.reason] += 1

    def _joined(self) -> Answer | Failure:
        parts = [self._answers[at] for at in range(len(self._pieces))]
        if any(part.row_shapes != parts[0].row_shapes for part in parts):
            return Failure(
                Code.INVALID_ARGUMENT, "ROWS_DIFFER", "the model answers rows of different shapes: send fewer at once"
            )
        return Answer(
            parts[0].row_shapes,
            [b"".join(values) for values in zip(*(part.values for part in parts), strict=True)],
            max(part.batch_rows for part in parts),
            max(part.batch_requests for part in parts),
            min(part.queue_s for part in parts),
            sum(part.compute_s for part in parts),
            sum(part.invalid_rows for part in parts),
        )
