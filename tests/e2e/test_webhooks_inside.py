"""The attack that drained the front door: who has `alerts.write` for one model has the monitor call what is inside."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from headrace_stack.ports import Port, Ports

from tests.kit.deployment import topology
from tests.kit.rows import each
from tests.kit.stack.process_trees import listening
from tests.kit.stack.served_models import LINEAR, ROW, Served, assert_refused, request

ORDER = "/drain_listeners"


@pytest.fixture
def token(served: Served) -> str:
    return served.stack.token("mallory", scopes=["alerts.write", "monitor.read"], models=[LINEAR])


def test_no_webhook_may_be_at_a_port_of_the_stack(served: Served, token: str):
    """Every spelling of a host with every port is a unit test of what judges destinations."""
    hosts = itertools.cycle(("127.0.0.1", "localhost", "[::1]", "2130706433"))
    for port in {*open_ports(served), *(port.number for port in ports(served.stack.settings.ports))}:
        body = {"url": f"http://{next(hosts)}:{port}{ORDER}", "secret": "sixteen characters", "model": LINEAR}
        refusal = served.rest_refused("PUT", "/v1/webhooks/mallory", token=token, json=body)
        assert_refused(refusal, "INVALID_ARGUMENT", "WEBHOOK_INVALID")
        assert refusal.fields == ("webhook.url",)
        assert "MONITOR_WEBHOOK_ALLOW" in refusal.message
    assert served.predict(request(LINEAR, features=ROW)).prediction_id
    assert served.rest("GET", "/healthz", token=None).status_code == 200


@each("name", sorted(topology.services()))
def test_nor_at_the_name_of_a_service(served: Served, token: str, name: str):
    for host in (name, f"{name}.", f"{name}.headrace.svc", f"{name}.headrace.svc.cluster.local"):
        body = {"url": f"https://{host}:8081{ORDER}", "secret": "sixteen characters", "model": LINEAR}
        refusal = served.rest_refused("PUT", "/v1/webhooks/mallory", token=token, json=body)
        assert_refused(refusal, "INVALID_ARGUMENT", "WEBHOOK_INVALID")


def test_no_port_of_the_stack_drains_the_front_door(served: Served):
    """Should a request get there all the same, nothing listens that takes the order."""

    def answer(port: int) -> int | None:
        try:
            return httpx.post(f"http://127.0.0.1:{port}{ORDER}", timeout=2, trust_env=False).status_code
        except Exception:  # stores, gRPC: whatever they make of it, it is no order
            return None

    with ThreadPoolExecutor(16) as threads:
        asked = open_ports(served)
        answers = dict(zip(asked, threads.map(answer, asked), strict=True))
    assert [port for port, status in answers.items() if status is not None and status < 400] == []
    assert served.rest("GET", "/healthz", token=None).status_code == 200


def open_ports(served: Served) -> list[int]:
    """Return every port on which a process of the stack listens."""
    return sorted({at.port for _, at in listening(served.stack.seen())})


def ports(of: Ports) -> Iterator[Port]:
    """Yield every port that the stack has a name for."""
    for name in dir(Ports):
        if isinstance(vars(Ports).get(name), property):
            yield getattr(of, name)
