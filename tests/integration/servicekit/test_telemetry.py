"""The HTTP endpoint for scrapers and probes, and spans that reach a collector."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.settings import ServiceSettings, settings_config
from headrace_servicekit.testing import eventually, free_port, running
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.kit.servicekit.toy import SERVICE, Note, ToyStub, echoing

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class _Settings(ServiceSettings):
    model_config = settings_config("UNSET_")


def _settings(**given: Any) -> _Settings:
    return _Settings(drain_notice_s=0, grace_s=1, **given)


async def _start(runtime: Runtime[_Settings]) -> None:
    runtime.server(access_log=False).add_registered_method_handlers(SERVICE, echoing())


async def test_the_endpoint_shows_metrics_liveness_and_readiness_with_reasons():
    broken = asyncio.Event()

    async def probe() -> None:
        if broken.is_set():
            raise ConnectionError("refused")

    async def start(runtime: Runtime[_Settings]) -> None:
        await _start(runtime)
        runtime.check("postgres", probe)

    async with running("toy", _settings(), start) as runtime:
        async with grpc.aio.insecure_channel(runtime.servers[0].address) as channel:
            await ToyStub(channel).call("Answer", Note())
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{runtime.metrics_port}", trust_env=False) as http:
            metrics = (await http.get("/metrics")).text
            assert (
                f'rpc_server_call_duration_seconds_count{{grpc_status_code="OK",rpc_method="/{SERVICE}/Answer"}} 1.0'
                in metrics
            )
            assert "service_ready 1.0" in metrics
            assert "process_cpu_seconds_total" in metrics
            assert (await http.get("/readyz")).json()["ready"] is True
            assert (await http.head("/livez")).status_code == 200
            assert (await http.get("/other")).status_code == 404
            assert (await http.post("/metrics")).status_code == 405
            broken.set()
            await eventually(lambda: not runtime.health.ready)
            unready = await http.get("/readyz")
            assert (await http.get("/livez")).status_code == 200
    assert unready.status_code == 503
    assert unready.json()["components"] == {"postgres": {"healthy": False, "reason": "ConnectionError: refused"}}


async def test_metrics_tell_of_components_that_cost_no_readiness():
    async def away() -> None:
        raise ConnectionError("refused")

    async def start(runtime: Runtime[_Settings]) -> None:
        await _start(runtime)
        runtime.check("s3", away, required=False)
        runtime.health.add("tables")
        runtime.health.set("tables", True)

    async with running("toy", _settings(), start) as runtime, httpx.AsyncClient(trust_env=False) as http:
        metrics = (await http.get(f"http://127.0.0.1:{runtime.metrics_port}/metrics")).text
    assert "service_ready 1.0" in metrics
    assert 'service_component_healthy{component="s3"} 0.0' in metrics
    assert 'service_component_healthy{component="tables"} 1.0' in metrics


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"x" * 20_000], ids=["tls", "half", "endless"]
)
async def test_junk_on_the_endpoint_harms_nobody(junk):
    async with running("toy", _settings(), _start) as runtime:
        reader, writer = await asyncio.open_connection("127.0.0.1", runtime.metrics_port)
        writer.write(junk)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"http://127.0.0.1:{runtime.metrics_port}/livez")).status_code == 200
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


class _Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps every span that it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()

    async def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()


async def test_sampled_calls_become_spans_of_the_callers_trace_and_others_do_not():
    collector, server = _Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with (
        running("toy", _settings(otlp_endpoint=f"127.0.0.1:{port}"), _start) as runtime,
        grpc.aio.insecure_channel(runtime.servers[0].address) as channel,
    ):
        stub = ToyStub(channel)
        for flags in ("01", "00"):
            header = ("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-{flags}")
            await stub.call("Answer", Note(text="payload"), metadata=(header,))
    await server.stop(1)
    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, "00f067aa0ba902b7")
    assert span.name == f"{SERVICE}/Answer"
    assert collector.services == {"headrace-toy"}
    assert b"payload" not in span.SerializeToString()


async def test_a_dead_collector_costs_no_call_and_does_not_hold_the_exit_up():
    async with running("toy", _settings(otlp_endpoint=f"127.0.0.1:{free_port()}"), _start) as runtime:
        async with grpc.aio.insecure_channel(runtime.servers[0].address) as channel:
            assert await ToyStub(channel).call("Answer", Note())
        stopping = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stopping < 15
