"""The wheel stack with an identity provider that is not its own: another issuer, audience, keys and algorithm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from headrace_client import AsyncClient, HeadraceError
from headrace_client.issuer import known_scopes
from headrace_servicekit.testing import eventually
from headrace_stack.testing import held_stack

from tests.kit.identity.provider import AUDIENCE, ISSUER, IdentityProvider, publish
from tests.kit.models import onnx_models
from tests.kit.stack.operator import METRICS
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests

# A stack of its own.
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ROW = {"features": np.zeros((1, 4), np.float32)}
PROVIDER = IdentityProvider()


@pytest.fixture(scope="module")
def provided() -> Iterator[RunningStack]:
    """A stack that is told of the provider as docs/operations.md says: two variables, and its keys in the file."""
    told = {"FRONT_DOOR_ISSUER": ISSUER, "FRONT_DOOR_AUDIENCE": AUDIENCE}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        with held_stack(home_for_tests(f"provider-{os.getpid()}")) as settings:
            publish(settings.identity, PROVIDER)
            yield RunningStack(settings)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def client(stack: RunningStack, token: str) -> AsyncClient:
    return AsyncClient(stack.address, token=token)


async def believed(stack: RunningStack, token: str) -> str:
    """Return why calls of either kind are refused, empty when both are answered."""
    async with client(stack, token) as caller:
        try:
            await caller.models.list()
            await caller.predict("provided", ROW, timeout=5)
        except HeadraceError as error:
            return error.reason
    return ""


async def test_its_tokens_open_what_their_scopes_say_and_no_others_do(provided: RunningStack, tmp_path: Path):
    person = PROVIDER.token("ada@example.com", list(known_scopes()))
    await eventually(lambda: _no_token_is_refused(provided, person), within=15, every=0.2)
    path = tmp_path / "v1.onnx"
    path.write_bytes(onnx_models.linear().content)
    async with client(provided, person) as ada:
        await ada.versions.register("provided", "v1", path, contract=onnx_models.linear().contract, metrics=METRICS)
        promoted = await ada.models.promote("provided", "v1")
        await ada.routes.await_epoch("provided", promoted.model.epoch, timeout=90)

    for algorithm in ("RS256", "ES256"):
        program = PROVIDER.token("pipeline", ["predict", "registry.read"], algorithm=algorithm)
        async with client(provided, program) as caller:
            assert (await caller.predict("provided", ROW, timeout=10)).version == "v1"
            with pytest.raises(HeadraceError) as refused:
                await caller.models.promote("provided", "v1")
            assert refused.value.reason == "SCOPE_MISSING"

    # The development issuer is believed no more, nor is anybody with the provider's name and other keys.
    assert await believed(provided, provided.token()) == "TOKEN_INVALID"
    assert await believed(provided, IdentityProvider().token("mallory", list(known_scopes()))) == "TOKEN_INVALID"
    for_another = PROVIDER.token("ada@example.com", list(known_scopes()), aud="billing")
    assert await believed(provided, for_another) == "TOKEN_AUDIENCE_REFUSED"


async def test_its_keys_are_renewed_while_both_are_listed(provided: RunningStack):
    old, renewed = PROVIDER, IdentityProvider("second")
    publish(provided.settings.identity, old, renewed)
    scopes = list(known_scopes())
    await eventually(lambda: _is(provided, renewed.token("ada", scopes), ""), within=10, every=0.2)
    assert await believed(provided, old.token("ada", scopes)) == ""
    publish(provided.settings.identity, renewed)
    await eventually(lambda: _is(provided, old.token("bob", scopes), "TOKEN_INVALID"), within=10, every=0.2)
    assert await believed(provided, renewed.token("ada", scopes)) == ""


async def _no_token_is_refused(stack: RunningStack, token: str) -> bool:
    return not (await believed(stack, token)).startswith("TOKEN_")


async def _is(stack: RunningStack, token: str, reason: str) -> bool:
    return await believed(stack, token) == reason
