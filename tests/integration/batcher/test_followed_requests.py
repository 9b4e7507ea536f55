"""One trace id and one request id lead through data plane and batcher, in their logs and in their spans."""

from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace_servicekit.testing import eventually
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.kit.batcher.service import BatcherRig
from tests.kit.models import onnx_models
from tests.kit.router.data_plane import data_plane
from tests.kit.router.fake_control import table
from tests.kit.router.predict_requests import predict_request
from tests.kit.stack.logs import logged_lines

TRACE_ID, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent: the service and the span."""

    def __init__(self) -> None:
        self.spans: list = []

    async def Export(self, request, context):
        for resource in request.resource_spans:
            (name,) = [pair.value.string_value for pair in resource.resource.attributes if pair.key == "service.name"]
            self.spans += [(name, span) for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def of(self, service: str, name: str) -> list:
        return [span for made_by, span in self.spans if made_by == service and span.name == name]


@pytest.mark.long
async def test_one_id_finds_a_request_in_the_logs_and_spans_of_both_services(onnx_rig: BatcherRig, tmp_path: Path):
    version = await onnx_rig.version("linear", onnx_models.linear())
    onnx_rig.want(version)
    onnx_rig.control.put_table(table("linear", [version]))
    collector, receiver = Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, receiver)
    otlp = f"127.0.0.1:{receiver.add_insecure_port('127.0.0.1:0')}"
    await receiver.start()
    content = np.ones((2, 4), dtype=np.float32).tobytes()
    request = predict_request("linear", ("features", "FP32", [2, 4], content))
    with logged_lines() as lines:
        async with (
            onnx_rig.running(otlp_endpoint=otlp) as batcher,
            data_plane(
                onnx_rig.control.target,
                {"default": [batcher.servers[0].address]},
                tmp_path / "data",
                otlp_endpoint=otlp,
                access_log_one_in=0,
                access_log_errors_per_second=0,
            ) as router,
        ):

            async def answered() -> predict_pb2.PredictResponse | None:
                try:
                    return await router.stub.Predict(request, timeout=10)
                except grpc.aio.AioRpcError:
                    return None

            await eventually(answered, within=30)
            metadata = (("traceparent", f"00-{TRACE_ID}-{CALLER}-01"), ("x-request-id", "find-me"))
            await router.stub.Predict(request, timeout=10, metadata=metadata)
            await eventually(lambda: collector.of("headrace-batcher", "batch linear--v1"), within=20)
            await eventually(lambda: collector.of("headrace-router.data", "headrace.router.v1.RouterService/Predict"))
    await receiver.stop(None)

    (prediction,) = lines.of("prediction")
    assert (prediction["trace_id"], prediction["request_id"]) == (TRACE_ID, "find-me")
    # Only the followed request made the batcher say anything of an execution.
    (executed,) = lines.of("batch executed")
    assert (executed["trace_ids"], executed["request_ids"]) == ([TRACE_ID], ["find-me"])
    assert (executed["model"], executed["rows"], executed["requests"]) == ("linear--v1", 2, 1)

    (served,) = collector.of("headrace-router.data", "headrace.router.v1.RouterService/Predict")
    (batch,) = collector.of("headrace-batcher", "batch linear--v1")
    assert served.trace_id.hex() == batch.trace_id.hex() == TRACE_ID
    assert served.parent_span_id.hex() == CALLER
    (work,) = collector.of("headrace-router.data", "batcher")
    assert (batch.parent_span_id, work.parent_span_id) == (work.span_id, served.span_id)
    assert [(link.trace_id, link.span_id) for link in batch.links] == [(work.trace_id, work.span_id)]
    assert served.start_time_unix_nano <= batch.start_time_unix_nano
    assert batch.end_time_unix_nano <= served.end_time_unix_nano
