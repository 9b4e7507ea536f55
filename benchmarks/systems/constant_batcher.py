"""A batcher that answers whole frames at once, with a score of one half: what stands behind `many_routes`.

Listens on the port of its first argument until it is killed; the second is the version's digest.
"""

from __future__ import annotations

import struct
import sys

import grpc.aio
import uvloop
from headrace.batcher.v1 import batcher_pb2, batcher_pb2_grpc
from headrace.router.v1 import predict_pb2

SCORE = 0.5


class ConstantBatcher(batcher_pb2_grpc.BatcherServiceServicer):
    """Serves the streams of data planes."""

    def __init__(self, digest: str) -> None:
        self._versions = [batcher_pb2.VersionState(handle=1, digest=digest, ready=True)]
        message = predict_pb2.PredictResponse(raw_output_contents=[struct.pack("<f", SCORE)])
        message.outputs.add(name="scores", datatype="FP32", shape=[1, 1])
        self._outputs = message.SerializeToString()

    async def Exchange(self, request_iterator, context):
        yield batcher_pb2.ExchangeResponse(versions=self._versions, process="constant", load=batcher_pb2.Load())
        async for frame in request_iterator:
            answers = batcher_pb2.ExchangeResponse(load=batcher_pb2.Load())
            for request in frame.requests:
                answers.responses.add(
                    id=request.id, outputs=self._outputs, queue_us=100, compute_us=200, batch_requests=1, batch_rows=1
                )
            yield answers


async def serve(port: int, digest: str) -> None:
    """Serve until killed."""
    server = grpc.aio.server()
    batcher_pb2_grpc.add_BatcherServiceServicer_to_server(ConstantBatcher(digest), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
