"""Docker's Engine as the autoscaler has it: through Envoy, which lets three requests pass, to a real daemon."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from headrace_autoscaler.actuators.actuator import ActuatorError
from headrace_autoscaler.actuators.docker import DockerActuator, client_of
from headrace_servicekit.testing import eventually

from tests.kit.deployment.containers import docker
from tests.kit.deployment.topology import CHECKOUT

PROJECT = f"headrace-scaled-{os.getpid()}"
# Ends by SIGTERM, as the first process of a container only does when it asks to.
PROGRAM = "#include <signal.h>\n#include <unistd.h>\nstatic void end(int s){(void)s;_exit(0);}\n"
PROGRAM += "int main(void){signal(SIGTERM,end);for(;;)pause();}\n"
COMPOSE = """
services:
  batcher: {image: "%s", scale: 3}
  other: {image: "%s"}
"""
LABEL = json.dumps({"label": [f"com.docker.compose.project={PROJECT}"]}, separators=(",", ":"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three containers of `batcher` and one of another service, which do nothing."""
    folder, image = tmp_path_factory.mktemp("scaled"), f"{PROJECT}:1"
    (folder / "nothing.c").write_text(PROGRAM)
    subprocess.run(["cc", "-static", "-Os", "-o", folder / "nothing", folder / "nothing.c"], check=True)
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY nothing /nothing\nENTRYPOINT ["/nothing"]\n')
    (folder / "compose.yml").write_text(COMPOSE % (image, image))
    docker("build", "-q", "-t", image, str(folder))
    compose = ("compose", "-p", PROJECT, "-f", str(folder / "compose.yml"))
    try:
        docker(*compose, "up", "-d")
        yield PROJECT
    finally:
        docker(*compose, "down", "--timeout", "1")
        docker("image", "rm", image)


@pytest.fixture(scope="module")
def engine(project: str) -> Iterator[str]:
    """The socket that the autoscaler has."""
    daemon = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    with tempfile.TemporaryDirectory(prefix="hr-") as folder:
        listen = Path(folder, "engine.sock")
        program = [sys.executable, CHECKOUT / "deploy/envoy/docker_filter.py", "--project", project]
        options = ["--service", "batcher", "--listen", listen, "--engine", daemon]
        with subprocess.Popen([*program, *options]) as filtering:
            try:
                for _ in range(600):
                    if listen.exists():
                        break
                    assert filtering.poll() is None
                    subprocess.run(["sleep", "0.1"], check=True)
                yield str(listen)
            finally:
                filtering.terminate()


def asked(engine: str, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """Return status and body of a request that is sent as it is written."""
    with socket.socket(socket.AF_UNIX) as opened, closing(http.client.HTTPConnection("docker")) as connection:
        opened.settimeout(20)
        opened.connect(engine)
        connection.sock = opened
        connection.putrequest(method, path)
        if body is not None:
            connection.putheader("content-type", "application/json")
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body.encode() if body is not None else None)
        with connection.getresponse() as answer:
            return answer.status, answer.read().decode()


async def test_a_pool_is_scaled_between_no_container_and_all_that_are_there(engine: str):
    async with client_of(engine) as client:
        actuator = DockerActuator(client, PROJECT, {"default": "batcher", "cpu": "gone"}, change_s=60)

        async def at(replicas: int) -> None:
            # Docker lists a container as it was until a moment after its stop.
            async def so() -> bool:
                return await actuator.targets(["default", "cpu", "of-nobody"]) == {"default": replicas}

            await eventually(so, within=30)

        await at(3)
        await actuator.scale("default", 1, [f"{PROJECT}-batcher-1:8090"])
        await at(1)
        await actuator.scale("default", 1, [])
        assert running() == [f"{PROJECT}-batcher-2", f"{PROJECT}-other-1"], "the named one goes first, then the newest"
        await actuator.scale("default", 0, [])
        await at(0)
        await actuator.scale("default", 3, [])
        await at(3)
        with pytest.raises(ActuatorError, match=r"has 3 containers of batcher, not 4: `docker compose up --scale"):
            await actuator.scale("default", 4, [])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1.41/containers/create"),
        ("POST", "/containers/create"),
        ("POST", f"/v1.41/containers/{PROJECT}-batcher-1/exec"),
        ("POST", f"/v1.41/containers/{PROJECT}-batcher-1/kill"),
        ("DELETE", f"/v1.41/containers/{PROJECT}-batcher-1"),
        ("GET", f"/v1.41/containers/{PROJECT}-batcher-1/json"),
        ("POST", f"/v1.41/containers/{PROJECT}-other-1/stop"),
        ("POST", "/v1.41/containers/somebody-batcher-1/stop"),
        ("POST", f"/v1.41/containers/x{PROJECT}-batcher-1/stop"),
        ("POST", f"/v1.41/containers/{PROJECT}-batcher-1/stop/../../create"),
        ("POST", f"/v1.41/containers/{PROJECT}-batcher-1%2f..%2fcreate"),
        ("POST", f"/v1.41//containers/{PROJECT}-batcher-1/start/../exec"),
        ("POST", f"/v1.22/containers/{PROJECT}-batcher-1/start"),
        ("PUT", f"/v1.41/containers/{PROJECT}-batcher-1/start"),
        ("GET", "/v1.41/containers/json"),
        ("GET", "/v1.41/containers/json?all=true&filters={}"),
        ("GET", f"/v1.41/containers/json?all=true&filters={quote_plus(LABEL.replace(PROJECT, 'somebody'))}"),
        ("GET", f"/v1.41/containers/json?all=true&filters={quote_plus(LABEL)}&filters={quote_plus('{}')}"),
        ("GET", "/v1.41/images/json"),
        ("GET", "/info"),
        ("POST", "/v1.41/build"),
        ("POST", "/session"),
        ("CONNECT", "docker:80"),
    ],
)
def test_nothing_else_reaches_docker(engine: str, method: str, path: str):
    status, said = asked(engine, method, path, "{}" if method in ("POST", "PUT") else None)
    assert status in (400, 403, 404), said
    assert "Id" not in said


def running() -> list[str]:
    listed = docker("ps", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format", "{{.Names}}")
    return sorted(listed.split())
