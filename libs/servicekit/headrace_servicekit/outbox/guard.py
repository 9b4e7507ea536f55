"""A DNS resolver that refuses addresses forbidden for webhooks."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from headrace_servicekit.clock import Clock
from headrace_servicekit.outbox.addresses import Address
from headrace_servicekit.outbox.destinations import Destination, RefusedError, Rules, judge, unresolved, written

# Blocks, and raises OSError for a name that leads nowhere.
Lookup = Callable[[str], Sequence[Address]]

_LOOKUP_S = 3.0
# Of this installation's own hosts, whose addresses are compared.
_KEPT_S = 30.0
_THREADS = 8


def system_lookup(host: str) -> tuple[Address, ...]:
    """Return what the system's resolver says."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found))


def is_own(address: Address) -> bool:
    """Return whether an address, a public one as well, is this machine's: one gets there from the address itself.

    Nothing is sent: the kernel only chooses a route.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:
            return False
        return probe.getsockname()[0] == str(address)


class Guard:
    """Says where a URL leads, by rules, and by what names lead to at that moment.

    It looks names up in threads of its own: who makes it slow keeps nothing else of the process waiting.
    """

    def __init__(self, rules: Rules, clock: Clock, lookup: Lookup = system_lookup) -> None:
        self._rules, self._clock, self._lookup = rules, clock, lookup
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhook names")
        self._inside: frozenset[Address] = frozenset()
        self._stale_at = float("-inf")

    async def __aenter__(self) -> Guard:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, url: str) -> None:
        """Raise RefusedError for a URL where no webhook may be, now. A name that leads nowhere yet may be made one."""
        to = await self.written(url)
        if to.address is None:
            try:
                await self.addresses(to)
            except RefusedError:
                raise
            except OSError:
                unresolved(to, self._rules)

    async def written(self, url: str) -> Destination:
        """Return where a URL leads, as far as its text says it. Raises RefusedError."""
        to = written(url, self._rules)
        if to.address is not None:
            judge(to, to.address, self._rules, ours=await self._ours(to.address))
        return to

    async def addresses(self, to: Destination) -> Sequence[Address]:
        """Return the addresses that a name leads to, every one of which a webhook may be at.

        Raises RefusedError when one is none, and OSError when the name leads nowhere.
        """
        found = await self._looked_up(to.host)
        for address in found:
            judge(to, address, self._rules, ours=await self._ours(address))
        return found

    async def _ours(self, address: Address) -> bool:
        if self._stale_at <= (now := self._clock.monotonic()):
            answers = await asyncio.gather(*map(self._looked_up, self._rules.inside), return_exceptions=True)
            # What is away at present is where it was before, as far as we know.
            known = [one for answer in answers if not isinstance(answer, BaseException) for one in answer]
            missed = any(isinstance(answer, BaseException) for answer in answers)
            self._inside = frozenset(known) | (self._inside if missed else frozenset())
            self._stale_at = now + _KEPT_S
        return address in self._inside or is_own(address)

    async def _looked_up(self, host: str) -> Sequence[Address]:
        try:
            async with asyncio.timeout(_LOOKUP_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host)
        except (TimeoutError, UnicodeError) as error:  # a label that is too long, among others
            raise OSError(f"{type(error).__name__} for a name") from error


class GuardedResolver(AbstractResolver):
    """Resolves names for connections of one scheme: to addresses that were judged, and that are then connected to."""

    def __init__(self, scheme: str, guard: Guard) -> None:
        self._scheme, self._guard = scheme, guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        to = Destination(self._scheme, host.removesuffix(".").lower(), port)
        return [_result(host, port, address) for address in await self._guard.addresses(to)]

    async def close(self) -> None:
        """Leave the guard, which is shared."""


def _result(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=str(address), port=port, family=family, proto=0, flags=flags)
