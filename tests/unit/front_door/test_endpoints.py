"""Services whose replicas come and go, as a file says."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from front_door import endpoints
from front_door.api import Api
from front_door.bootstrap import files, whole
from front_door.endpoints import EndpointsError
from front_door.following import follow_endpoints
from front_door.identities import Identities
from front_door.publish import publish
from headrace_servicekit.testing import eventually

from tests.kit.front_door.edge import settings_with
from tests.kit.rows import each

KEYS = Identities('{"keys": []}')
REGISTRY = "endpoints-registry.json"


def hosts(file: Path) -> list[int]:
    """Return the ports that Envoy is told of."""
    (resource,) = json.loads(file.read_text())["resources"]
    (group,) = resource["endpoints"]
    return [one["endpoint"]["address"]["socket_address"]["port_value"] for one in group["lb_endpoints"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("registry=127.0.0.1:1", {"registry": ("127.0.0.1:1",)}),
        (
            " registry=127.0.0.1:1, [::1]:2 ;router-control=;\n",
            {"registry": ("127.0.0.1:1", "[::1]:2"), "router-control": ()},
        ),
    ],
)
def test_a_file_says_where_services_are(text: str, expected: dict[str, tuple[str, ...]]):
    assert endpoints.parse(text) == expected


@each("text", ["registry", "registry=x", "registry=localhost:1", "registry=127.0.0.1:0",
    "registry=127.0.0.1:70000", "postgres=127.0.0.1:1", "=127.0.0.1:1", "\x00"])  # fmt: skip
def test_what_it_cannot_say_is_refused(text: str):
    with pytest.raises(EndpointsError):
        endpoints.parse(text)


def test_without_a_file_addresses_stay_in_the_configuration(api: Api):
    made = files(settings_with(), api, KEYS)
    assert not [name for name in made if name.startswith("endpoints-")]
    assert "EDS" not in json.dumps(made["bootstrap.json"])


def test_with_one_every_service_is_followed_and_what_is_validated_is_whole(api: Api, tmp_path: Path):
    settings = settings_with(endpoints_file=tmp_path / "endpoints")
    bootstrap = files(settings, api, KEYS)["bootstrap.json"]
    assert isinstance(bootstrap, dict)
    followed = [one["name"] for one in bootstrap["static_resources"]["clusters"] if one.get("type") == "EDS"]
    assert {f"endpoints-{name}.json" for name in followed} <= set(files(settings, api, KEYS))
    assert {"registry", "router-control", "router-control-health", "router-data"} <= set(followed)
    assert "EDS" not in json.dumps(whole(settings, api, KEYS))


async def test_a_change_is_published_and_a_file_that_cannot_be_used_changes_nothing(tmp_path: Path):
    file, state = tmp_path / "endpoints", tmp_path / "state"

    def say(text: str) -> None:
        (tmp_path / "partial").write_text(text)
        os.replace(tmp_path / "partial", file)

    say("registry=127.0.0.1:1")
    settings = endpoints.read(settings_with(endpoints_file=file, state_dir=state, poll_s=0.01))
    publish(state, endpoints.files(settings))
    following = asyncio.create_task(follow_endpoints(settings))
    try:
        assert hosts(state / REGISTRY) == [1]
        control = (state / "endpoints-router-control.json").stat().st_ino
        say("registry=127.0.0.1:1,127.0.0.1:2")
        await eventually(lambda: hosts(state / REGISTRY) == [1, 2])
        say("registry=nonsense")
        say("registry=127.0.0.1:2;unknown=1")
        file.unlink()
        say("registry=127.0.0.1:2")
        await eventually(lambda: hosts(state / REGISTRY) == [2])
        # What stays is not written again: Envoy would look at it again.
        assert (state / "endpoints-router-control.json").stat().st_ino == control
    finally:
        following.cancel()
