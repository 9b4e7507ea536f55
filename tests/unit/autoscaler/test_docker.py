"""Containers as Docker lists them: which count, and which go first."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from headrace_autoscaler.actuators.actuator import ActuatorError
from headrace_autoscaler.actuators.docker import Container, DockerActuator, container_of, leaving
from headrace_autoscaler.decisions.workloads import services_of

SERVICES = {"default": "batcher"}


def listed(number: int, state: str = "running", *, name: str = "", address: str = "") -> dict[str, Any]:
    return {
        "Id": f"{number:064x}",
        "Names": [f"/{name or f'headrace-batcher-{number}'}"],
        "Labels": {"com.docker.compose.service": "batcher"},
        "State": state,
        "NetworkSettings": {"Networks": {"calls": {"IPAddress": address}}},
    }


def actuator(answer: httpx.Response, asked: list[str] | None = None) -> DockerActuator:
    """Return one whose Docker always says this. asked: gets the paths."""

    def answered(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(f"{request.method} {request.url.path}")
        return answer if request.method == "GET" else httpx.Response(204)

    client = httpx.AsyncClient(transport=httpx.MockTransport(answered), base_url="http://docker")
    return DockerActuator(client, "headrace", SERVICES, change_s=5)


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("running", True),
        ("restarting", True),
        ("exited", False),
        ("created", False),
        ("dead", False),
        ("paused", False),
    ],
)
def test_what_docker_keeps_up_counts(state: str, kept: bool):
    container = container_of(listed(2, state))
    assert container is not None
    assert (container.number, container.kept) == (2, kept)


def test_a_container_that_compose_did_not_number_is_nobodys_replica():
    assert container_of(listed(2, name="headrace-batcher-run-5f0c")) is None


def test_those_that_are_named_go_first_and_then_the_newest():
    containers = [
        Container(f"b-{number}", number, kept=True, addresses=frozenset({f"172.18.0.{number}"})) for number in (1, 2, 3)
    ]
    assert [one.number for one in leaving(containers, [])] == [3, 2, 1]
    assert [one.number for one in leaving(containers, ["172.18.0.1:8090", "172.18.0.9:8090"])] == [1, 3, 2]


async def test_nothing_is_asked_for_when_the_number_is_right_already():
    asked: list[str] = []
    docker = actuator(httpx.Response(200, json=[listed(1), listed(2), listed(3, "exited")]), asked)
    await docker.scale("default", 2, [])
    assert [one for one in asked if one.startswith("POST")] == []
    await docker.scale("default", 3, [])
    assert asked[-1] == "POST /v1.41/containers/headrace-batcher-3/start"
    await docker.scale("default", 1, [])
    assert asked[-1] == "POST /v1.41/containers/headrace-batcher-2/stop"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(403, json={"message": "only containers of project x"}), "403.*only containers of project x"),
        (httpx.Response(500, text="<html>"), "500.*html"),
        (httpx.Response(200, text="nothing"), "cannot be read"),
        (httpx.Response(200, json=[{"Names": []}]), "cannot be read"),
        (httpx.Response(200, json=[{**listed(1), "Names": None}]), "cannot be read"),
    ],
)
async def test_what_docker_refuses_or_garbles_is_told(answer: httpx.Response, told: str):
    with pytest.raises(ActuatorError, match=f"(?s){told}"):
        await actuator(answer).targets(["default"])


async def test_a_daemon_that_is_away_is_told():
    async with httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds="/nowhere.sock"), base_url="http://d"
    ) as client:
        with pytest.raises(ActuatorError, match="cannot be asked"):
            await DockerActuator(client, "headrace", SERVICES, change_s=5).targets(["default"])


@pytest.mark.parametrize("text", ["default", "default=", "=batcher", "default=../create", "default=a b"])
def test_a_service_that_cannot_be_is_refused(text: str):
    with pytest.raises(ValueError, match="is not pool=service"):
        services_of(text)
    assert services_of("default=batcher; cpu=batcher-cpu;") == {"default": "batcher", "cpu": "batcher-cpu"}
