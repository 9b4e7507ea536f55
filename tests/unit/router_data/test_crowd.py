"""Who is let in while many requests are in progress: nobody may hold up all others."""

import asyncio

import pytest
from headrace_router.data.hosts.crowd import Crowd
from headrace_servicekit.errors import ResourceExhausted


class Host:
    """Requests that are in progress until they are told to end."""

    def __init__(self, most: int) -> None:
        self.crowd, self.active, self.end = Crowd(most), 0, asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, client: str) -> bool:
        """Begin a request; return whether it was let in."""
        self.tasks.append(asyncio.create_task(self._serve(client)))
        await asyncio.sleep(0)
        return not self.tasks[-1].done()

    async def filled_by(self, client: str) -> int:
        """Return how many requests of a client are let in, until one is not."""
        let_in = 0
        while await self.ask(client):
            let_in += 1
        return let_in

    async def _serve(self, client: str) -> None:
        self.active += 1
        try:
            if self.active > self.crowd.begins:
                self.crowd.enter(asyncio.current_task(), client, self.active)
            await self.end.wait()
        except ResourceExhausted:
            pass
        finally:
            self.active -= 1
            self.crowd.leave(asyncio.current_task())


async def test_a_client_alone_fills_most_of_the_host_and_others_still_find_room():
    host = Host(1000)
    assert 900 <= await host.filled_by("greedy") < 1000
    for client in ("a", "b", "c"):
        assert await host.ask(client)
    host.end.set()
    await asyncio.gather(*host.tasks)
    assert not host.crowd.counted


async def test_nobody_is_let_in_beyond_the_bound():
    host = Host(100)
    let_in = sum([await host.ask(f"client {number}") for number in range(300)])
    assert let_in == 100
    host.end.set()
    await asyncio.gather(*host.tasks)


async def test_clients_are_not_counted_while_there_is_room():
    host = Host(100)
    for _ in range(50):
        assert await host.ask("one")
    assert not host.crowd.counted
    host.end.set()
    await asyncio.gather(*host.tasks)


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_a_small_host_serves_one_at_least(most: int):
    host = Host(most)
    assert await host.ask("one")
    host.end.set()
    await asyncio.gather(*host.tasks)
