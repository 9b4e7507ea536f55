"""The fake control plane that other parts test against keeps the contract of the real one."""

import grpc.aio
import pytest
from headrace.router.v1 import control_pb2, control_pb2_grpc

from tests.kit.router.fake_control import FakeControl, resolved_version, table


async def test_a_watcher_gets_a_snapshot_then_changes():
    version = resolved_version("digits", "v1")
    async with FakeControl.serving() as control, grpc.aio.insecure_channel(control.target) as channel:
        control.put_table(table("digits", [version]))
        control.put_not_serving("fraud")
        watch = control_pb2_grpc.ControlServiceStub(channel).WatchTables(
            control_pb2.WatchTablesRequest(data_plane="plane-0"), timeout=10
        )
        snapshot = [await watch.read() for _ in range(3)]
        assert [message.WhichOneof("change") for message in snapshot] == ["table", "not_serving_model", None]
        assert [message.snapshot_complete for message in snapshot] == [False, False, True]

        generation = control.put_table(table("digits", [version, resolved_version("digits", "v2")]))
        change = await watch.read()
        assert (change.table.generation, change.newest_generation) == (generation, generation)

        control.remove_model("fraud")
        assert (await watch.read()).removed_model == "fraud"

        control.cut()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_reports_demand_and_acknowledgements_are_kept():
    version = resolved_version("digits", "v1")
    async with FakeControl.serving() as control, grpc.aio.insecure_channel(control.target) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        control.put_demand("default", [(version, control_pb2.WantedVersion.NEED_ACTIVE)])
        demand = stub.WatchDemand(control_pb2.WatchDemandRequest(pool="default"), timeout=10)
        assert (await demand.read()).versions[0].version == version
        control.put_demand("default", [])
        assert not (await demand.read()).versions

        report = control_pb2.VersionReport(digest=version.digest, state=control_pb2.VersionReport.STATE_READY)
        await stub.ReportVersions(
            control_pb2.ReportVersionsRequest(pool="default", process="p1", versions=[report]), timeout=10
        )
        assert control.state_of("p1", version.digest) == control_pb2.VersionReport.STATE_READY

        await stub.AcknowledgeGenerations(
            control_pb2.AcknowledgeGenerationsRequest(data_plane="a", incarnation=control.incarnation, generation=3),
            timeout=10,
        )
        assert control.acknowledged == {"a": 3}
