"""A watch through a front door, which sends when the test says so."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator

import grpc

from tests.kit.front_door.edge import WATCH_MODELS, Edge, metadata


class Watch:
    """A watch that is open and sends when it is told to."""

    def __init__(self, door: Edge, channel: grpc.Channel, token: str) -> None:
        self._go = threading.Semaphore(0)
        self._over = threading.Event()
        door.behind.registry.answers[WATCH_MODELS] = self._answer
        self._answers = channel.unary_stream(WATCH_MODELS)(b"", metadata=metadata(token))
        assert next(self._answers) == b"first"

    def _answer(self, _requests: Iterable[bytes], _context: grpc.ServicerContext) -> Iterable[bytes]:
        yield b"first"
        while True:
            self._go.acquire(timeout=30)
            if self._over.is_set():
                return
            yield b"next"

    def send_next(self) -> bytes:
        """Send something more and return what arrives."""
        self._go.release()
        return next(self._answers)

    def end(self) -> None:
        """Let go of it at both ends."""
        self._over.set()
        self._go.release()
        self._answers.cancel()


@contextlib.contextmanager
def watching(door: Edge, token: str) -> Iterator[Watch]:
    """Watch models through a front door until the block ends."""
    with door.channel() as channel:
        watch = Watch(door, channel, token)
        try:
            yield watch
        finally:
            watch.end()
