"""Who is let in while many requests are in progress: nobody may hold up all others."""

import asyncio

import pytest
from headrace_router.data.transports.admission import AdmissionControl
from headrace_servicekit.errors import ResourceExhausted


class Transport:
    """Requests that are in progress until they are told to end."""

    def __init__(self, most: int) -> None:
        self.admission, self.active, self.end = AdmissionControl(most), 0, asyncio.Event()
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
            if self.active > self.admission.threshold:
                self.admission.admit(asyncio.current_task(), client, self.active)
            await self.end.wait()
        except ResourceExhausted:
            pass
        finally:
            self.active -= 1
            self.admission.release(asyncio.current_task())


async def test_a_client_alone_fills_most_of_the_transport_and_others_still_find_room():
    transport = Transport(1000)
    assert 900 <= await transport.filled_by("greedy") < 1000
    for client in ("a", "b", "c"):
        assert await transport.ask(client)
    transport.end.set()
    await asyncio.gather(*transport.tasks)
    assert not transport.admission.counted


async def test_nobody_is_let_in_beyond_the_bound():
    transport = Transport(100)
    let_in = sum([await transport.ask(f"client {number}") for number in range(300)])
    assert let_in == 100
    transport.end.set()
    await asyncio.gather(*transport.tasks)


async def test_clients_are_not_counted_while_there_is_room():
    transport = Transport(100)
    for _ in range(50):
        assert await transport.ask("one")
    assert not transport.admission.counted
    transport.end.set()
    await asyncio.gather(*transport.tasks)


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_a_small_transport_serves_one_at_least(most: int):
    transport = Transport(most)
    assert await transport.ask("one")
    transport.end.set()
    await asyncio.gather(*transport.tasks)
