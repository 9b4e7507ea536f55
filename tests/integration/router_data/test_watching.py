"""The data plane and its control plane: acknowledgement, loss of the control plane, starting without one."""

from __future__ import annotations

import asyncio
import socket

import grpc
import grpc.aio
from headrace_router.data.tables.last_known_good import LastKnownGood
from headrace_servicekit.testing import eventually, free_port

from tests.kit.batcher.fake_batcher import held
from tests.kit.router.data_plane import data_plane
from tests.kit.router.digits import DIGITS, V1, V2, digits_request
from tests.kit.router.fake_control import FakeControl, table


async def test_a_promotion_is_acknowledged_after_the_last_answer_of_the_version_before(batcher, tmp_path):
    gate = asyncio.Event()
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, id="plane-1") as plane:
            await eventually(lambda: control.acknowledged.get("plane-1") == 1)
            batcher.behave = held(gate)
            before = asyncio.ensure_future(plane.stub.Predict(DIGITS, timeout=10))
            await eventually(lambda: batcher.requests)
            control.put_table(table("digits", [V2]))
            after = asyncio.ensure_future(plane.stub.Predict(DIGITS, timeout=10))
            await eventually(lambda: len(batcher.requests) == 2)
            assert control.acknowledged["plane-1"] == 1
            gate.set()
            assert ((await before).version, (await after).version) == ("v1", "v2")
            await eventually(lambda: control.acknowledged["plane-1"] == 2)


async def test_serving_goes_on_without_the_control_plane_and_catches_up(batcher, tmp_path):
    port = free_port()
    async with FakeControl.serving(port=port) as control:
        control.put_table(table("digits", [V1]))
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, id="plane-1") as plane:
            control.cut()
            assert (await plane.stub.Predict(DIGITS, timeout=5)).version == "v1"
            assert plane.runtime.health.ready
            control.put_table(table("digits", [V2]))
            await eventually(lambda: control.acknowledged.get("plane-1") == 2, within=10)
            assert (await plane.stub.Predict(DIGITS, timeout=5)).version == "v2"


async def test_a_start_without_control_plane_serves_the_last_good_tables(batcher, tmp_path):
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V2]))
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path):
            await eventually(lambda: list(tmp_path.glob("tables.bin")))
    nobody = f"127.0.0.1:{free_port()}"
    async with data_plane(nobody, {"default": [batcher.target]}, tmp_path) as plane:
        answer = await plane.stub.Predict(DIGITS, timeout=5)
        healthy, reason = plane.runtime.health.components()["tables"]
    assert (answer.version, answer.generation) == ("v2", 1)
    assert healthy
    assert "last-known-good tables" in reason


async def test_another_stores_snapshot_replaces_the_last_good_tables(batcher, tmp_path):
    async with FakeControl.serving() as control:
        for _ in range(5):
            control.put_table(table("digits", [V2]))
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path):
            await eventually(lambda: list(tmp_path.glob("tables.bin")))
    async with FakeControl.serving() as control:
        control.incarnation = "22222222-2222-4222-8222-222222222222"
        control.put_table(table("digits", [V1]))
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, id="plane-1") as plane:
            await eventually(lambda: control.acknowledged.get("plane-1") == 1)
            answer = await plane.stub.Predict(DIGITS, timeout=5)
    assert (answer.version, answer.generation) == ("v1", 1)


async def test_a_removed_model_is_not_found(batcher, tmp_path):
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path) as plane:
            await plane.stub.Predict(DIGITS, timeout=5)
            control.remove_model("digits")

            async def gone() -> bool:
                try:
                    await plane.stub.Predict(DIGITS, timeout=5)
                except grpc.aio.AioRpcError as error:
                    return error.code() is grpc.StatusCode.NOT_FOUND
                return False

            await eventually(gone)


async def test_a_users_variant_is_the_same_over_faces_and_restarts(batcher, tmp_path):
    seen: list[list[str]] = []
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1, V2], shares={"v1": 0.5, "v2": 0.5}))
        for _restart in range(2):
            async with data_plane(control.target, {"default": [batcher.target]}, tmp_path) as plane:
                over_grpc, over_rest = [], []
                for number in range(20):
                    request = digits_request(bytes(16), user_id=f"user-{number}")
                    over_grpc.append((await plane.stub.Predict(request, timeout=5)).variant)
                    body = {"instances": [[0, 0, 0, 0]], "user_id": f"user-{number}"}
                    over_rest.append((await plane.rest.post("/v1/models/digits:predict", json=body)).json()["variant"])
                seen += [over_grpc, over_rest]
    assert all(one == seen[0] for one in seen)
    assert set(seen[0]) == {"v1", "v2"}


async def test_a_restart_serves_nothing_older_than_what_was_acknowledged(batcher, tmp_path):
    async with (
        FakeControl.serving() as control,
        data_plane(control.target, {"default": [batcher.target]}, tmp_path, id="plane-1"),
    ):
        for generation in range(1, 6):
            control.put_table(table("digits", [V1 if generation % 2 else V2]))
            await eventually(lambda wanted=generation: control.acknowledged.get("plane-1") == wanted, every=0.001)
            assert LastKnownGood(tmp_path).read()[-1].newest_generation >= generation


async def test_a_disk_without_room_holds_no_acknowledgement_up(batcher, tmp_path):
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, id="plane-1") as plane:
            await eventually(lambda: control.acknowledged.get("plane-1") == 1)
            (tmp_path / "tables.new").mkdir()  # what is to be written first cannot be
            control.put_table(table("digits", [V2]))
            await eventually(lambda: control.acknowledged.get("plane-1") == 2)
            assert LastKnownGood(tmp_path).read() == []  # rather nothing than v1, which was acknowledged away
            (tmp_path / "tables.new").rmdir()
            control.put_table(table("digits", [V1]))
            await eventually(lambda: LastKnownGood(tmp_path).read())
            assert (await plane.stub.Predict(DIGITS, timeout=5)).version == "v1"


async def test_what_is_on_disk_serves_only_when_the_control_plane_says_nothing_newer(batcher, tmp_path):
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path):
            await eventually(lambda: LastKnownGood(tmp_path).read())
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, as a frozen process does
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        async with data_plane(target, {"default": [batcher.target]}, tmp_path, connected=False) as plane:
            assert (await plane.stub.Predict(DIGITS, timeout=5)).version == "v1"
            assert plane.runtime.health.components()["tables"] == (
                True,
                "the last-known-good tables; the control plane is silent",
            )
