"""The table of tokens (tests/kit/identity/token_rows.py) over every protocol: each judges alike, and says why.

All of it goes by gRPC through the filter that judges; the others ask the same filter, and some rows prove it. Of the
script and of the data plane all rows are unit tests.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from headrace_client.issuer import AUDIENCE, ISSUER
from headrace_router.data.identity.tokens import Rules, bearer, keys_of, verify
from headrace_servicekit.errors import ServiceError
from hypothesis import given, settings

from tests.kit.front_door.edge import GET_MODEL, Edge
from tests.kit.front_door.envoy_data_plane import EnvoyPlane, envoy_plane
from tests.kit.identity.token_claims import claimed
from tests.kit.identity.token_protocols import MANAGING, PREDICTING, SOME, by_grpc, differing
from tests.kit.identity.token_rows import ELSEWHERE, EXPIRED, INVALID, NO_SCOPE, ROWS
from tests.kit.identity.token_variants import signed
from tests.kit.router.fake_control import FakeControl
from tests.kit.rows import each

TOLD: dict[str, str] = dict.fromkeys((INVALID, EXPIRED, ELSEWHERE), "refused")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnvoyPlane]:
    """A front door with the data plane in it, which has no tables: who is believed is told so."""
    folder = tmp_path_factory.mktemp("here")
    async with FakeControl.serving() as control, envoy_plane(folder, control.target, "127.0.0.1:9") as running:
        yield running


@pytest.mark.parametrize("protocol", MANAGING)
def test_a_service_behind_envoy_is_reached_by_the_tokens_of_the_table(door: Edge, protocol: str):
    assert differing(door, MANAGING[protocol], ROWS if protocol == "gRPC" else SOME) == {}
    assert door.behind.registry.calls
    _all_have_an_identity(door)


@each("protocol", PREDICTING)
def test_a_data_plane_behind_envoy_is_reached_by_the_tokens_of_the_table(door: Edge, protocol: str):
    assert differing(door, PREDICTING[protocol], SOME) == {}
    assert door.behind.router_data.calls or door.behind.router_rest.calls
    _all_have_an_identity(door)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("protocol", PREDICTING)
async def test_a_data_plane_in_envoy_believes_the_tokens_of_the_table(plane: EnvoyPlane, protocol: str):
    rows = ROWS if protocol == "gRPC" else SOME
    assert await asyncio.to_thread(differing, plane.door, PREDICTING[protocol], rows) == {}


def test_whatever_a_token_claims_envoy_says_what_the_data_plane_says(door: Edge):
    @settings(max_examples=100, deadline=None)
    @given(claimed())
    def says_the_same(payload: str):
        token = signed(door.issuer, payload)
        said = by_grpc(GET_MODEL)(door, f"Bearer {token}")
        # Of several faults the first that is looked at is told.
        assert TOLD.get(said or "", said) == _verified(door, token)

    says_the_same()
    _all_have_an_identity(door)


def _verified(door: Edge, token: str) -> str | None:
    """Return whether the data plane refuses a token or its scopes, None when it believes it."""
    keys = keys_of(json.dumps({"keys": [door.issuer.jwk]}))
    try:
        believed = verify(bearer(f"Bearer {token}".encode()), keys, Rules(ISSUER, AUDIENCE), time.time())
    except ServiceError as error:
        return TOLD[error.reason]
    return None if "registry.read" in believed.scopes else NO_SCOPE


def _all_have_an_identity(door: Edge) -> None:
    upstreams: Any = (*door.behind.grpc(), door.behind.router_rest)
    for call in [call for upstream in upstreams for call in upstream.calls]:
        assert call.headers["x-headrace-edge"] == "1"
        assert call.headers["x-headrace-client"]
        assert call.headers["x-headrace-models"]
        assert "authorization" not in call.headers
