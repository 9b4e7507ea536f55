"""ListBatchers over gRPC, on a real database: at every control plane, in pages, and only what the caller may see."""

import functools

from google.protobuf.duration_pb2 import Duration
from headrace.router.v1 import control_pb2, route_pb2
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER
from headrace_servicekit.testing import eventually

from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.registry_feed import RegistryFeed, digest_of

_Report = control_pb2.VersionReport


async def batchers(plane: Plane, *, models: str = "*", **fields) -> route_pb2.ListBatchersResponse:
    caller = ((CLIENT_HEADER, "somebody"), (MODELS_HEADER, models))
    return await plane.routes.ListBatchers(route_pb2.ListBatchersRequest(**fields), timeout=10, metadata=caller)


async def _both(plane: Plane) -> route_pb2.ListBatchersResponse:
    """Return the list once it has both: other control planes hear of a report a moment later."""
    answer = await batchers(plane)
    assert len(answer.batchers) == 2
    return answer


async def test_batchers_are_listed_at_every_control_plane(postgres_url: str, registry: RegistryFeed):
    async with (
        control_plane(postgres_url, registry.target) as plane,
        control_plane(postgres_url, registry.target) as other,
    ):
        await plane.serve(registry)
        ready = _Report(
            digest=digest_of("digits", "v1"),
            state=_Report.STATE_READY,
            load=route_pb2.BatcherLoad(rows=3, predicted_wait=Duration(nanos=250_000_000), answered_requests=90),
            load_duration=Duration(seconds=7),
        )
        said = control_pb2.ReportVersionsRequest(
            pool="default", process="p1", address="p1:1", versions=[ready], load=ready.load
        )
        await plane.control.ReportVersions(said, timeout=10)
        await plane.report("p2", pool="cpu")
        for asked in (plane, other):
            answer = await eventually(functools.partial(_both, asked), within=10)
            cpu, default = answer.batchers
            age = answer.read_time.ToDatetime() - default.report_time.ToDatetime()
            assert 0.0 <= age.total_seconds() < 5.0
            assert (cpu.pool, cpu.process, cpu.HasField("load")) == ("cpu", "p2", False)
            assert (default.process, default.address, default.load.rows) == ("p1", "p1:1", 3)
            (held,) = default.versions
            assert (held.model, held.version, held.wanted, held.load_duration.seconds) == ("digits", "v1", True, 7)
            assert (held.load.predicted_wait.ToMilliseconds(), held.load.answered_requests) == (250, 90)


async def test_batchers_come_in_pages_by_pool_without_models_that_the_caller_may_not_see(
    plane: Plane, registry: RegistryFeed
):
    await plane.serve(registry)
    for process in ("p1", "p2", "p3"):
        await plane.report(process, "v1")
    await plane.report("q", pool="cpu")
    first = await batchers(plane, pool="default", page_size=2)
    second = await batchers(plane, pool="default", page_size=2, page_token=first.next_page_token)
    assert [[one.process for one in page.batchers] for page in (first, second)] == [["p1", "p2"], ["p3"]]
    assert not second.next_page_token
    assert [one.version for one in first.batchers[0].versions] == ["v1"]
    (hidden, *_) = (await batchers(plane, models="other-*", pool="default")).batchers
    assert not hidden.versions
