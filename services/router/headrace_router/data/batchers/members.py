"""Which batchers there are: what the names of a pool resolve to, a stream to each, and a file of names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from headrace_servicekit.http2.channel import Channel
from headrace_servicekit.peers import Peer

from headrace_router.data.batchers.frames import Limits, Owner, Replica

log = structlog.get_logger()


RECONNECT_S = 0.1
# A batcher that is back must be known before the next one of a rolling restart leaves.
MAX_RECONNECT_S = 0.5
LEAVE_S = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """A name that stands for one or more batchers."""

    host: str
    port: int


class Members:
    """The batchers of all pools.

    owner: hears what happens on their streams. connect: opens a channel to an address. resolve: all addresses of a
    target. replicas: by pool. One that has left stands there until it has answered all, and so twice if it is back by
    then: what is in flight on its old stream is still its own.
    """

    def __init__(
        self,
        targets: dict[str, tuple[Target, ...]],
        owner: Owner,
        *,
        connect: Callable[[str, Target], Any],
        resolve: Callable[[Target], Any],
        resolve_every_s: float,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._targets, self._owner, self._connect, self._resolve = targets, owner, connect, resolve
        self._resolve_every_s, self._limits, self._loop = resolve_every_s, limits, loop
        self.replicas: dict[str, list[Replica]] = {pool: [] for pool in targets}
        self._tasks: asyncio.TaskGroup | None = None
        self._retargeted: dict[str, asyncio.Event] = {pool: asyncio.Event() for pool in targets}
        self.streams_lost = 0
        self._sent_by_gone = (0, 0)
        self._garbled_by_gone = 0

    def sent(self) -> tuple[int, int]:
        """Return how many frames were sent so far, and how many requests in them."""
        frames, requests = self._sent_by_gone
        for replicas in self.replicas.values():
            frames += sum(replica.frames_sent for replica in replicas)
            requests += sum(replica.requests_sent for replica in replicas)
        return frames, requests

    def garbled(self) -> int:
        """Return how many frames did not match their checksum so far."""
        here = sum([replica.frames_garbled for replicas in self.replicas.values() for replica in replicas])
        return self._garbled_by_gone + here

    def follow(self, tasks: asyncio.TaskGroup) -> None:
        """Keep a stream to every batcher of every pool, by tasks that end with the group."""
        self._tasks = tasks
        for pool in self._targets:
            self._begin(pool, tasks)

    def retarget(self, targets: dict[str, tuple[Target, ...]]) -> None:
        """Take other names and pools. Batchers that are not among them are left once they have answered all."""
        before, self._targets = self._targets, dict(targets)
        for pool in targets:
            self.replicas.setdefault(pool, [])
            if pool not in before and pool not in self._retargeted:
                self._retargeted[pool] = asyncio.Event()
                if self._tasks is not None:
                    self._begin(pool, self._tasks)
        for event in self._retargeted.values():
            event.set()

    def _begin(self, pool: str, tasks: asyncio.TaskGroup) -> None:
        tasks.create_task(self._follow(pool, tasks), name=f"pool {pool}")

    async def _follow(self, pool: str, tasks: asyncio.TaskGroup) -> None:
        """Keep the members of a pool in step with what its names resolve to, until there is no such pool."""
        members: dict[str, tuple[Replica, asyncio.Task[None]]] = {}
        resolver = Peer("resolver", every_s=self._resolve_every_s, max_backoff_s=self._resolve_every_s, pool=pool)
        retargeted = self._retargeted[pool]
        while pool in self._targets or members:
            retargeted.clear()
            targets = self._targets.get(pool, ())
            found: dict[str, Target] = {}
            # A resolver that is down removes no replica.
            if await resolver.call(lambda targets=targets, found=found: self._find(targets, found)):
                for address in [address for address in found if address not in members]:
                    replica = Replica(address, self._owner, self._limits, self._loop)
                    connection = tasks.create_task(
                        self._stay_connected(pool, replica, found[address]), name=f"batcher {address}"
                    )
                    members[address] = replica, connection
                for address in [address for address in members if address not in found]:
                    log.info("batcher left", pool=pool, address=address)
                    tasks.create_task(self._let_go(*members.pop(address)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._resolve_every_s):
                    await retargeted.wait()
        del self._retargeted[pool]
        self._forget_if_gone(pool)

    def _forget_if_gone(self, pool: str) -> None:
        if pool not in self._targets and not self.replicas.get(pool, True):
            del self.replicas[pool]

    async def _find(self, targets: tuple[Target, ...], found: dict[str, Target]) -> None:
        for target in targets:
            for address in await self._resolve(target):
                found[address] = target

    async def _let_go(self, replica: Replica, connection: asyncio.Task[None]) -> None:
        """Disconnect from a replica when what is in flight on it was answered."""
        replica.leave()
        if replica.in_flight:
            await asyncio.wait({connection}, timeout=LEAVE_S)
        connection.cancel()

    async def _stay_connected(self, pool: str, replica: Replica, target: Target) -> None:
        self.replicas[pool].append(replica)
        address = replica.address
        peer = Peer("batcher", every_s=RECONNECT_S, max_backoff_s=MAX_RECONNECT_S, pool=pool, address=address)
        connection = self._connect(address, target)
        try:
            while not replica.leaving:
                sessions = replica.sessions
                await peer.hold(lambda: replica.exchange(connection, peer.well), ended="the batcher is stopping")
                self.streams_lost += replica.sessions > sessions
                await peer.pause()
        finally:
            self.replicas[pool].remove(replica)
            self._forget_if_gone(pool)
            frames, requests = self._sent_by_gone
            self._sent_by_gone = (frames + replica.frames_sent, requests + replica.requests_sent)
            self._garbled_by_gone += replica.frames_garbled
            self._owner.changed(replica)
            await connection.close()


async def resolve_by_dns(target: Target) -> list[str]:
    """Return `ip:port` for every address of a name, of one family: a name for both would count a batcher twice."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    families = {info[0] for info in infos}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
    hosts = sorted({str(info[4][0]) for info in infos if info[0] == family})
    return [f"{host}:{target.port}" if family == socket.AF_INET else f"[{host}]:{target.port}" for host in hosts]


def batcher_channel(address: str, target: Target, tls: ssl.SSLContext | None) -> Channel:
    """Return a channel to one batcher. Its certificate names the target, not the address that this resolved to."""
    return Channel(address, tls=tls, server_name=target.host)


FOLLOW_EVERY_S = 0.5
# Far beyond what pools need.
_LONGEST = 1024 * 1024

Targets = dict[str, tuple[Target, ...]]


class PoolsFile:
    """A file that others replace by rename.

    parse: makes targets of its text, raises ValueError. changed: called with the targets whenever the text differs.
    """

    def __init__(self, path: Path, parse: Callable[[str], Targets], changed: Callable[[Targets], None]) -> None:
        self._path, self._parse, self._changed = path, parse, changed
        self._text = ""
        self._problem = ""

    async def follow(self) -> None:
        """Read it again; one that cannot be used changes nothing and is logged once. For `periodic`."""
        try:
            text = await asyncio.to_thread(self._read)
            if text != self._text:
                targets = self._parse(text)
                self._changed(targets)
                self._text = text
                log.info("pools changed", batchers={pool: len(names) for pool, names in targets.items()})
            self._problem = ""
        except (OSError, ValueError) as error:
            if str(error) != self._problem:
                log.warning("pools not taken; those before stay", file=str(self._path), reason=str(error))
            self._problem = str(error)

    def _read(self) -> str:
        with self._path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST} characters")
        return text
