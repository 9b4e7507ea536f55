"""How the front door starts, stops and crashes."""

import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from headrace_servicekit.testing import eventually, patience

from tests.kit.front_door.edge import GET_MODEL, PREDICT, Edge, edge, get, metadata
from tests.kit.front_door.long_watch import watching


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Edge]:
    with edge(tmp_path) as running:
        yield running


class TestStopping:
    async def test_a_call_in_flight_is_answered_when_it_is_told_to_stop(self, door: Edge):
        entered, release = threading.Event(), threading.Event()

        def slow(_requests: Iterable[bytes], _context: grpc.ServicerContext) -> Iterable[bytes]:
            entered.set()
            release.wait(10)
            yield b"done"

        door.behind.router_data.answers[PREDICT] = slow
        with door.channel() as channel:
            call = channel.unary_unary(PREDICT).future(b"", metadata=metadata(door.issuer.token()), timeout=9)
            assert entered.wait(5)
            envoy = psutil.Process(door.process.pid).children()
            door.process.send_signal(signal.SIGTERM)
            await eventually(lambda: not _listens(door), within=10, every=0.05)
            release.set()
            assert call.result(timeout=9) == b"done"
        assert door.process.wait(timeout=10) == 0
        assert not any(process.is_running() for process in envoy)

    def test_it_does_not_wait_longer_than_the_grace_period(self, tmp_path: Path):
        with edge(tmp_path, grace_s=1) as door, watching(door, door.issuer.token()):
            before = time.monotonic()
            assert door.stop() == 0
            assert time.monotonic() - before < patience(8)

    async def test_health_fails_before_connections_are_sent_away(self, tmp_path: Path):
        with edge(tmp_path, drain_notice_s=3) as door:
            door.process.send_signal(signal.SIGTERM)
            await eventually(lambda: door.http("GET", "/healthz").status_code == 503, within=3, every=0.05)
            door.call(GET_MODEL, door.issuer.token())
            assert door.process.wait(timeout=20) == 0

    @pytest.mark.faults
    def test_envoy_does_not_outlive_a_launcher_that_is_killed(self, door: Edge):
        (envoy,) = psutil.Process(door.process.pid).children()
        door.process.kill()
        door.process.wait()
        envoy.wait(timeout=5)
        assert not _listens(door)

    @pytest.mark.faults
    async def test_an_envoy_that_crashes_is_started_again(self, door: Edge):
        # One that crashes before is its supervisor's to start again.
        await eventually(
            lambda: "Envoy ready" in (door.directory / "front-door.log").read_text(), within=10, every=0.05
        )
        (envoy,) = psutil.Process(door.process.pid).children()
        envoy.kill()
        await eventually(lambda: not envoy.is_running() and _listens(door), within=10, every=0.05)
        door.call(GET_MODEL, door.issuer.token())
        assert door.stop() == 0


class TestStarting:
    def test_a_port_that_is_taken_ends_the_start_with_its_number(self, tmp_path: Path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(AssertionError, match="front door ended") as caught, edge(tmp_path, port=port):
                raise AssertionError("it started")
        assert str(port) in str(caught.value)

    @pytest.mark.parametrize(
        ("told", "named"),
        [
            ({"targets": "registry=nowhere"}, "FRONT_DOOR_TARGETS"),
            ({"jwks_file": "/nowhere/jwks.json"}, "/nowhere/jwks.json"),
            ({"prot": "1"}, "FRONT_DOOR_PORT"),
        ],
    )
    def test_a_setting_that_cannot_be_used_is_named(self, tmp_path: Path, told: dict, named: str):
        with pytest.raises(AssertionError, match=named), edge(tmp_path, **told):
            raise AssertionError("it started")


def _listens(door: Edge) -> bool:
    try:
        get(f"http://{door.address}/healthz")
    except ConnectionError:
        return False
    except OSError as error:
        return not isinstance(getattr(error, "reason", None), ConnectionError)
    return True
