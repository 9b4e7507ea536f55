"""A data plane whose event loop is held up inside the front door: it is seen, and costs other routes nothing."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.front_door.edge import GET_MODEL, metadata
from tests.kit.front_door.envoy_data_plane import EnvoyPlane, envoy_plane
from tests.kit.router.digits import DIGITS, V1
from tests.kit.router.fake_control import FakeControl, table

# Imported by every Python that finds it, the one in Envoy included: while the file is there, making the id of a
# prediction holds up the event loop that it is made on.
HOLDING_UP = """
import pathlib, time, uuid_utils
_made = uuid_utils.uuid7
def _slowly(*args, **kwargs):
    while pathlib.Path({path!r}).exists():
        time.sleep(0.05)
    return _made(*args, **kwargs)
uuid_utils.uuid7 = _slowly
"""


@pytest.mark.faults
async def test_readiness_falls_within_five_seconds_other_routes_are_answered_and_it_comes_back(tmp_path: Path):
    held = tmp_path / "held"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HOLDING_UP.format(path=str(held)))
    async with FakeBatcher.serving([V1]) as batcher, FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        site = str(tmp_path / "site")
        async with envoy_plane(tmp_path, control.target, batcher.target, PYTHONPATH=site) as plane:
            await eventually(plane.ready, within=20)
            by = metadata(plane.door.issuer.token())
            await plane.stub.Predict(DIGITS, timeout=10, metadata=by)
            held.touch()
            waiting = plane.stub.Predict(DIGITS, timeout=30, metadata=by)

            async def seen() -> bool:
                return "has not turned" in await asyncio.to_thread(_unready, plane)

            await eventually(seen, within=5)
            await asyncio.to_thread(plane.door.call, GET_MODEL, plane.door.issuer.token(sub="reader"))
            assert plane.door.behind.reached_by("reader")
            await eventually(lambda: "_slowly" in _held_at(plane), within=5)
            held.unlink()
            assert (await waiting).version == "v1"
            await eventually(plane.ready, within=5)


def _held_at(plane: EnvoyPlane) -> str:
    """Return where the log says that the loop is held up, empty when it says nothing."""
    log = (plane.door.directory / "front-door.log").read_text()
    return "".join("".join(json.loads(line)["at"]) for line in log.splitlines() if "event loop is held up" in line)


def _unready(plane: EnvoyPlane) -> str:
    """Return why it is not ready, empty when it is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{plane.metrics_port}/readyz", timeout=2):
            return ""
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["components"]["event loop"]["reason"]
