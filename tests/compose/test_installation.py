"""`docker compose up`: who reaches whom, what people run against it, what is left when it goes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.kit.deployment.containers import Installation
from tests.kit.models import onnx_models
from tests.kit.stack.operator import Operator
from tests.kit.stack.running import RunningStack

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3); print('open')"
PORTS = {"postgres-1": 5432, "s3-1": 8333, "valkey-1": 6379}


def addresses(installation: Installation, name: str) -> list[str]:
    networks = installation.containers()[name]["NetworkSettings"]["Networks"].values()
    return [network["IPAddress"] for network in networks]


def test_nobody_is_root_or_can_write_outside_its_volumes(installation: Installation):
    for name, told in installation.containers().items():
        assert told["Config"]["User"] == "10001:10001", name
        assert told["HostConfig"]["ReadonlyRootfs"], name
        assert told["HostConfig"]["CapDrop"] == ["ALL"], name
    for name in ("front-door-1", "registry-1", "router-control-1", "batcher-1", "batcher-cpu-1", "monitor-1", *PORTS):
        assert "Read-only" in installation.run(name, "python", "-c", "open('/opt/x', 'w')", succeeds=False)


def test_only_8080_is_reachable_from_the_host(installation: Installation):
    published = {
        (name, inside): [binding["HostPort"] for binding in bindings or []]
        for name, told in installation.containers().items()
        for inside, bindings in told["NetworkSettings"]["Ports"].items()
        if bindings
    }
    assert published == {("front-door-1", "8080/tcp"): [str(installation.port)]}


@pytest.mark.parametrize("store", ["postgres-1", "s3-1"])
def test_the_front_door_cannot_reach_what_holds_data(installation: Installation, store: str):
    (address,) = addresses(installation, store)
    port = str(PORTS[store])
    assert "open" in installation.run("registry-1", "python", "-c", CONNECT, address, port)
    refused = installation.run("front-door-1", "python", "-c", CONNECT, address, port, succeeds=False)
    assert re.search(r"timed out|unreachable", refused)
    by_name = installation.run("front-door-1", "python", "-c", CONNECT, store.removesuffix("-1"), port, succeeds=False)
    assert re.search(r"Name or service not known|Temporary failure|No address", by_name)


def test_a_caller_beside_the_front_door_reaches_its_port_and_not_what_is_behind_it(installation: Installation):
    run = ("run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "python", "headrace", "-c", CONNECT)
    assert "open" in installation.compose(*run, "front-door", "8080")
    for port in ("8086", "8087", "8088", "8081"):
        with pytest.raises(AssertionError, match=r"refused"):
            installation.compose(*run, "front-door", port)


def test_the_front_door_hands_grpc_predictions_over_by_the_filter_of_its_image(installation: Installation):
    # Quiet: else a process that ends meanwhile, such as that of a health check, is an error.
    installation.run("front-door-1", "sh", "-c", "grep --quiet libheadrace_filter_bridge.so /proc/[0-9]*/maps")
    assert "the filter is not built" not in installation.compose("logs", "--no-color", "front-door")


def test_the_command_line_of_the_host_works_with_a_token_of_the_installation(installation: Installation):
    token = installation.compose("run", "--rm", "--no-TTY", "headrace", "token").strip()
    done = subprocess.run(
        [Path(sys.executable).with_name("headrace"), "status", "--json"],
        env={"HEADRACE_ADDRESS": f"127.0.0.1:{installation.port}", "HEADRACE_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "SERVING" in done.stdout.upper()
    refused = subprocess.run(
        [Path(sys.executable).with_name("headrace"), "models", "list"],
        env={"HEADRACE_ADDRESS": f"127.0.0.1:{installation.port}", "HEADRACE_TOKEN": "nobody"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "UNAUTHENTICATED" in refused.stderr


def test_the_demo_tells_its_story_with_the_numbers_that_it_has_everywhere(installation: Installation):
    printed = installation.compose("run", "--rm", "--no-TTY", "demo")
    split, promoted = printed.split("v2 is better: promote it")
    rows = re.compile(r"^ *(v\d) +(?:stable|challenger)\s+\d+\s+(\d+)\s+(0\.\d+)", re.MULTILINE)
    before = {version: float(accuracy) for version, _, accuracy in rows.findall(split)}
    after = {version: float(accuracy) for version, _, accuracy in rows.findall(promoted.split("And back")[0])}
    assert set(before) == {"v1", "v2"}
    assert before["v1"] == pytest.approx(0.931, abs=0.02)
    assert set(after) == {"v2"}
    assert after["v2"] == pytest.approx(0.967, abs=0.01)
    assert "after the acknowledgement" in promoted
    # Windows are an hour long here: the noise is looked at together with what came before it.
    clean, noisy = " ".join(printed.split()).split("add noise")
    seen = re.search(r"what v2 was asked: no drift in (\d+) rows", clean)
    assert seen is not None, clean
    found = re.search(r"drift of (\d+) pixels in (\d+) rows", noisy)
    assert found is not None, noisy
    assert int(found[1]) > 10
    assert int(found[2]) > int(seen[1])
    assert re.search(r"0 with a score of another version", promoted)
    assert f"http://127.0.0.1:{installation.port}" in promoted
    # What was asked is in the log, and the monitor has room for the files that a query reads.
    query = "SELECT count(*) AS asked FROM predictions WHERE model = 'digits'"
    counted = installation.compose("run", "--rm", "--no-TTY", "headrace", "monitor", "query", query, "--csv")
    assert int(counted.split()[1]) >= int(found[2])


async def test_data_outlives_the_containers_and_the_issuer_is_the_same(
    installation: Installation, stack: RunningStack, tmp_path: Path
):
    async with Operator.of(stack, "kept", tmp_path) as operator:
        await operator.register("v1", onnx_models.linear(seed=1))
        await operator.promote("v1")
        before = await _models(operator)
    installation.compose("stop")
    # Each drains and ends by itself, within its time. S3 holds nothing by then, and is killed.
    ended = {name: told["State"]["ExitCode"] for name, told in installation.containers().items()}
    assert {name: code for name, code in ended.items() if code} == {"s3-1": 137}
    installation.down()
    assert not installation.containers()
    installation.up()
    async with Operator.of(stack, "kept", tmp_path) as operator:
        assert await _models(operator) == before
        status = await operator.client.routes.await_epoch("kept", 1, timeout=60)
        assert status.generation > 0
        features = np.ones((2, 4), np.float32)
        answer = await operator.client.predict("kept", {"features": features})
        assert answer.version == "v1"
        expected = onnx_models.linear(seed=1).expected({"features": features})["scores"]
        assert np.allclose(answer.outputs["scores"], expected, rtol=1e-4)


async def _models(operator: Operator) -> list[str]:
    return sorted(json.dumps(model.name) for model in await operator.client.models.list())
