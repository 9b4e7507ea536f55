"""Who is taken for gone without pings: a peer that has something to answer, is let send, and is silent."""

from __future__ import annotations

import asyncio

from headrace_servicekit.http2.keepalive import Keepalive
from headrace_servicekit.testing import eventually

SILENT_S = 0.02


class Peer:
    """A connection to somebody who says nothing. asked: counts how often it was looked whether anybody waits for it."""

    def __init__(self, *awaited: bool) -> None:
        self.heard, self.transport = 0, None
        self.asked, self.aborted = 0, ""
        self._awaited = awaited

    @property
    def awaited(self) -> bool:
        self.asked += 1
        return self._awaited[min(self.asked, len(self._awaited)) - 1]

    def abort(self, reason: str) -> None:
        self.aborted = reason


def watched(peer: Peer) -> Keepalive:
    keepalive = Keepalive(asyncio.get_running_loop(), every_s=SILENT_S, timeout_s=SILENT_S, pings=False)
    keepalive.watch(peer)
    return keepalive


async def test_a_silent_peer_that_somebody_waits_for_is_given_up():
    watched(peer := Peer(True))
    await eventually(lambda: peer.aborted == "the peer answers nothing")


async def test_a_peer_that_nobody_waits_for_or_that_waits_for_us_is_kept():
    keepalive = watched(peer := Peer(False))
    await eventually(lambda: peer.asked > 5)
    keepalive.stop()
    assert not peer.aborted


async def test_a_peer_that_nobody_waits_for_any_more_when_its_time_is_over_is_kept():
    keepalive = watched(peer := Peer(True, False))
    await eventually(lambda: peer.asked > 5)
    keepalive.stop()
    assert not peer.aborted
