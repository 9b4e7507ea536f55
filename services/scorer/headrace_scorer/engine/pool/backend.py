"""The batchers of a pool as what runs batches, in the place of ONNX Runtime in this process."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import predict_pb2
from headrace_runtime.backends.backend import ModelError, ModelFiles
from headrace_runtime.shapes import Layout, OutputTensor, Raw

from headrace_scorer.engine.messages import PoolAccess
from headrace_scorer.engine.pool.members import Members, PoolAway
from headrace_scorer.engine.pool.stream import StreamLost

# Rows of a request, unless the job says otherwise: few, so that they fit what callers leave of a batch.
ROWS = 8
# Requests that one worker has at the batchers at once: enough for full batches one after the other.
AT_ONCE = 64
# Timeout of a request, which may queue behind online requests; it is then retried.
ANSWER_S = 300.0
# Retry batchers that accept nothing for this long; then the job releases its processes and waits.
PATIENCE_S = 60.0
_PAUSE_S, _MOST_PAUSE_S = 0.05, 2.0
# Size of a request's message without its tensors.
_FRAME_BYTES = 64 << 10
# Error reasons that the rows cause: every batcher would return them.
_OF_THE_ROWS = frozenset(
    (
        *("INVALID_TENSOR", "NAN_NOT_ALLOWED", "MODEL_REJECTED_INPUT", "ROWS_DIFFER", "ANSWER_TOO_LARGE"),
        "TOO_MANY_ROWS",
    )
)
_DEADLY = "QUARANTINED_INPUT"


class Deadly(ModelError):
    """A batch with a row that crashes the model's process on every run."""


class PoolBackend:
    """Runs batches on the batchers of a pool at priority BATCH, below online requests.

    Belongs to one event loop, which only has to run while batches do.
    """

    def __init__(self, access: PoolAccess) -> None:
        self._access = access
        self._members: Members | None = None
        self._answered_at = time.monotonic()

    async def load(self, files: ModelFiles) -> None:
        """Find batchers that have the version. Raises PoolAway."""
        try:
            self._members = Members(self._access)
        except OSError as error:  # on a machine of a cluster that has none
            raise PoolAway(f"the scorer's certificate cannot be read where it scores: {error}") from None
        await self._members.chosen()

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[Raw]) -> list[OutputTensor]:
        """Run one batch. Raises ModelError for what is wrong with its rows, and PoolAway."""
        assert self._members is not None
        size, most = sum(map(len, inputs)), self._access.max_message_bytes - _FRAME_BYTES
        if size > most:
            # A batcher would end the stream, with all other requests on it.
            raise ModelError(f"{rows} rows have {size:,} bytes, more than the {most:,} that a batcher takes at once")
        pause, begun = _PAUSE_S, time.monotonic()
        while True:
            refusal, after_s = "", 0.0
            try:
                stream = await self._members.chosen()
                request = batcher_pb2.InferRequest(
                    rows=rows,
                    inputs=[bytes(one) for one in inputs],
                    absent=[at for at in range(self._access.inputs) if at not in layout.positions],
                    priority=batcher_pb2.InferRequest.PRIORITY_BATCH,
                    client=self._access.client,
                )
                async with asyncio.timeout(ANSWER_S):
                    answer = await stream.ask(self._access.digest, request)
            except (StreamLost, PoolAway) as error:
                refusal = str(error)
            except TimeoutError:
                refusal = f"no answer came within {ANSWER_S:g} s"
            else:
                if not answer.code:
                    self._answered_at = time.monotonic()
                    return _outputs(answer)
                if answer.reason == _DEADLY:
                    raise Deadly(answer.message)
                if answer.reason in _OF_THE_ROWS:
                    raise ModelError(answer.message)
                refusal, after_s = f"{answer.reason}: {answer.message}", answer.retry_after_us / 1e6
            if time.monotonic() - max(begun, self._answered_at) > PATIENCE_S:
                raise PoolAway(f"the batchers answer nothing ({refusal})")
            await asyncio.sleep(max(after_s, pause) * random.uniform(0.8, 1.2))
            pause = min(_MOST_PAUSE_S, pause * 2)


def _outputs(answer: batcher_pb2.InferResponse) -> list[OutputTensor]:
    message = predict_pb2.PredictResponse.FromString(answer.outputs)
    return [
        OutputTensor(one.name, one.datatype, tuple(one.shape), raw)
        for one, raw in zip(message.outputs, message.raw_output_contents, strict=True)
    ]
