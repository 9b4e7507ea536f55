"""Who is denied, and what of theirs is open."""

import asyncio
import time
from pathlib import Path

import pytest
from headrace_servicekit.denials import Denials, denied_of
from headrace_servicekit.errors import PermissionDenied, Unauthenticated
from headrace_servicekit.identity import INTERNAL, Identity

ALICE, BOB = Identity("alice"), Identity("bob")


async def goes_on(denials: Denials, caller: Identity, expiry: float | None = None) -> None:
    async with denials.while_believed(caller, expiry):
        await asyncio.Event().wait()


async def opened(denials: Denials, caller: Identity) -> asyncio.Task[None]:
    task = asyncio.create_task(goes_on(denials, caller))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("text", ["{}", "[]", '{"subjects": "bob"}', '{"subjects": [7]}', "nonsense"])
def test_a_deny_list_that_cannot_be_read_is_an_error(text: str):
    with pytest.raises(ValueError, match=r"must be|Expecting"):
        denied_of(text)


async def test_a_denial_ends_all_that_the_client_has_open_and_nothing_else():
    denials = Denials()
    theirs = [await opened(denials, BOB) for _ in range(3)]
    others = [await opened(denials, caller) for caller in (ALICE, INTERNAL)]
    denials.believe({"bob"})
    denials.believe({"bob", "eve"})
    for task in theirs:
        with pytest.raises(PermissionDenied):
            await task
    assert not any(task.done() for task in others)
    for task in others:
        task.cancel()


async def test_what_ended_before_is_forgotten():
    denials = Denials()
    for _ in range(3):
        async with denials.while_believed(BOB):
            pass
    denials.believe({"bob"})
    with pytest.raises(PermissionDenied):
        await goes_on(denials, BOB)
    denials.believe(())
    async with denials.while_believed(BOB):
        pass


async def test_a_token_that_expires_is_not_called_a_denial():
    denials = Denials()
    denials.believe({"eve"})
    with pytest.raises(Unauthenticated):
        await goes_on(denials, BOB, expiry=time.time() + 0.01)


async def test_the_file_is_followed_and_one_that_cannot_be_used_changes_nothing(tmp_path: Path):
    denials, file = Denials(), tmp_path / "deny.json"
    await denials.follow(file)
    stream = await opened(denials, BOB)
    file.write_text('{"subjects": ["alice"]}')
    await denials.follow(file)
    for unusable in ('{"subjects": ["bo', "[]", '{"subjects": [1]}'):
        file.write_text(unusable)
        await denials.follow(file)
        with pytest.raises(PermissionDenied):
            await goes_on(denials, ALICE)
    assert not stream.done()
    file.write_text('{"subjects": ["bob"]}')
    await denials.follow(file)
    with pytest.raises(PermissionDenied):
        await stream
    file.unlink()
    await denials.follow(file)
    async with denials.while_believed(ALICE):
        pass
