"""Fakes of the control plane and of a batcher in one process, for `python -m benchmarks.smoke --bare`.

Prints their addresses as one JSON line. The batcher answers whole frames at once: it costs less than any real one.
"""

from __future__ import annotations

import json
import sys

import grpc.aio
import uvloop
from headrace.batcher.v1 import batcher_pb2, batcher_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2

from tests.kit.router.fake_control import FakeControl, lookup, resolved_version, table


class EchoingBatcher(batcher_pb2_grpc.BatcherServiceServicer):
    """Answers every request of a frame in one frame, with the same ten scores."""

    def __init__(self, digest: str) -> None:
        self._versions = [batcher_pb2.VersionState(handle=1, digest=digest, ready=True)]
        message = predict_pb2.PredictResponse(raw_output_contents=[bytes(40)])
        message.outputs.add(name="scores", datatype="FP32", shape=[1, 10])
        self._outputs = message.SerializeToString()

    async def Exchange(self, request_iterator, context):
        yield batcher_pb2.ExchangeResponse(versions=self._versions, process="bare", load=batcher_pb2.Load())
        async for frame in request_iterator:
            answers = batcher_pb2.ExchangeResponse(load=batcher_pb2.Load())
            for request in frame.requests:
                answers.responses.add(id=request.id, outputs=self._outputs, queue_us=100, compute_us=200)
            yield answers


async def serve(model: str, described: str, mode: str) -> None:
    """Serve until killed. mode: of the route."""
    name, datatype, shape = described.split(":")
    version = resolved_version(
        model,
        "v1",
        inputs=[tensor_pb2.TensorSpec(name=name, datatype=datatype, shape=map(int, shape.split("x")))],
        outputs=[tensor_pb2.TensorSpec(name="scores", datatype="FP32", shape=[10])],
    )
    other = resolved_version(model, "v2", inputs=version.contract.inputs, outputs=version.contract.outputs)
    other.digest = version.digest
    batcher = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    batcher_pb2_grpc.add_BatcherServiceServicer_to_server(EchoingBatcher(version.digest), batcher)
    port = batcher.add_insecure_port("127.0.0.1:0")
    await batcher.start()
    async with FakeControl.serving() as control:
        # Two arms, so that the assignment is paid for; both are the same version, which the batcher knows.
        control.put_table(table(model, [version, other], shares={"v1": 0.5, "v2": 0.5}, lookup=lookup(mode=mode)))
        print(json.dumps({"control": control.target, "batcher": f"127.0.0.1:{port}"}), flush=True)
        await batcher.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:4]))
