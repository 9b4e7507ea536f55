"""Envoy's admin interface is where only its launcher is; what Prometheus reads can do nothing else."""

from __future__ import annotations

import contextlib
import socket
import stat
from collections.abc import Iterator

import psutil
import pytest
from headrace_servicekit.testing import eventually

from tests.kit.front_door.edge import GET_MODEL, Edge, edge, get
from tests.kit.front_door.envoy_data_plane import alone_with

# What drained a front door, and the other paths by which Envoy is told what to do.
ORDERS = (
    "/drain_listeners", "/drain_listeners?graceful", "/healthcheck/fail", "/quitquitquit", "/reset_counters",
    "/logging?level=trace", "/runtime_modify?a=b", "/reopen_logs", "/cpuprofiler?enable=y",
)  # fmt: skip
READ = ("/ready", "/stats/prometheus", "/stats/prometheus?usedonly")
SHOWN = ("/", "/clusters", "/config_dump", "/certs", "/server_info", "/stats", "/stats?filter=a", "/listeners")
ODD = (
    "/stats/prometheus/../../drain_listeners", "/stats/prometheus/%2e%2e/%2e%2e/drain_listeners",
    "//drain_listeners", "/ready/../drain_listeners", "/stats/prometheus;/drain_listeners", "/READY",
    "/stats/prometheus%3f/../drain_listeners", "/stats/prometheus/", "http://localhost/drain_listeners",
)  # fmt: skip


@pytest.fixture(scope="module", params=["front door", "data plane"])
def place(request: pytest.FixtureRequest, door: Edge) -> Iterator[tuple[Edge, str]]:
    """A front door, and the Envoy to look at by the address of its metrics: its own, or that of a data plane."""
    if request.param == "front door":
        yield door, door.metrics
    else:
        with alone_with(door.directory) as metrics:
            yield door, metrics


def test_the_port_for_metrics_passes_nothing_else_on(place: tuple[Edge, str]):
    _, metrics = place
    asked = [("POST", path) for path in (*ORDERS, *ODD)] + [("GET", path) for path in SHOWN]
    asked += [(method, READ[0]) for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD", "drain")]
    passed_on = [one for one in asked if _status(metrics, *one) not in (400, 404)]
    assert passed_on == []
    assert "LIVE" in get(f"http://{metrics}/ready")


def test_prometheus_gets_its_numbers(place: tuple[Edge, str]):
    door, metrics = place
    door.call(GET_MODEL, door.issuer.token())
    assert "# TYPE envoy_server_live gauge" in get(f"http://{metrics}/stats/prometheus")


# It waits for the fifteen seconds after which they are ended.
@pytest.mark.long
async def test_connections_that_say_nothing_are_bounded_and_ended(place: tuple[Edge, str]):
    host, port = place[1].split(":")
    with contextlib.ExitStack() as held:
        for _ in range(300):
            held.enter_context(socket.create_connection((host, int(port)), timeout=2))
        assert place[0].http("GET", "/healthz").status_code == 200
        await eventually(lambda: _is_live(place[1]), within=30)


def test_the_admin_interface_is_a_socket_of_its_owner(place: tuple[Edge, str]):
    door, _ = place
    for found in door.directory.glob("*/admin.sock"):
        mode = found.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700


def test_no_port_of_the_process_takes_an_order(place: tuple[Edge, str]):
    door, _ = place
    ports = {
        one.laddr.port
        for envoy in psutil.Process(door.process.pid).children(recursive=True)
        for one in envoy.net_connections(kind="tcp")
        if one.status == psutil.CONN_LISTEN
    }
    assert len(ports) >= 2
    for port in ports:
        for path in ORDERS:
            assert _status(f"127.0.0.1:{port}", "POST", path) in (400, 401, 404), (port, path)
    assert door.http("GET", "/healthz").status_code == 200


@pytest.mark.faults
async def test_an_envoy_that_is_killed_finds_its_socket_free(tmp_path):
    with edge(tmp_path) as door:
        # One that dies before it was ready ends the launcher: another would do the same.
        await eventually(lambda: "Envoy ready" in (tmp_path / "front-door.log").read_text(), within=10)
        (envoy,) = [one for one in psutil.Process(door.process.pid).children() if "envoy" in one.name()]
        envoy.kill()

        def is_back() -> bool:
            with contextlib.suppress(OSError):
                return "LIVE" in door.admin("/ready")
            return False

        await eventually(is_back, within=30)
        assert door.process.poll() is None


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.parametrize("harm", ["drained", "hanging"])
async def test_a_front_door_of_no_use_is_replaced(tmp_path, harm: str):
    with edge(tmp_path) as door:
        log = tmp_path / "front-door.log"
        await eventually(lambda: "Envoy ready" in log.read_text(), within=10)
        if harm == "drained":
            door.admin("/drain_listeners", "POST")
        else:
            (envoy,) = [one for one in psutil.Process(door.process.pid).children() if "envoy" in one.name()]
            envoy.suspend()
        await eventually(lambda: not _is_live(door.metrics), within=10)
        # It fails twelve looks; one at an Envoy that hangs takes two seconds, and so does every word to it.
        await eventually(lambda: _is_live(door.metrics), within=150, every=0.5)
        assert door.call(GET_MODEL, door.issuer.token()) is not None
        assert door.process.poll() is None
        assert "Envoy is not ready any more" in log.read_text()


def _is_live(metrics: str) -> bool:
    with contextlib.suppress(OSError):
        return "LIVE" in get(f"http://{metrics}/ready")
    return False


def _status(address: str, method: str, path: str) -> int:
    """Return the status of one request whose path is sent as it is."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode())
        return int(connection.recv(1024).split(maxsplit=2)[1])
