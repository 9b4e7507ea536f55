"""What clients pay for repeated answers with: requests of their rates, taken in advance and given back unused."""

from __future__ import annotations

from typing import Protocol

from headrace_router.data.transports.envoy.filter_bridge import Filter

# As in repeated_answers.c.
MOST_LEASES = 4096
# Requests of one lease: so many times those of the time before, within these. A turn of the event loop may take as long
# as several of those times.
AHEAD, LEAST_LEASE, MOST_LEASE = 8, 64, 8192

Payer = tuple[str, str]
"""A client and a model."""


class Rates(Protocol):
    """Rates of clients."""

    def lease(self, client: str, model: str, tokens: int) -> int:
        """Take so many requests of a client's rates in advance, as far as there are; return how many.

        None of a client that is over a budget.
        """
        ...

    def give_back(self, client: str, model: str, tokens: int) -> None:
        """Give back what was taken and not used."""
        ...


class Lease:
    """Requests of a client to a model in advance. granted: until the next renewal; used: since the last."""

    __slots__ = ("granted", "number", "used")

    def __init__(self, number: int) -> None:
        self.number, self.granted, self.used = number, 0, 0


class Leases:
    """All leases; the filter counts them down."""

    def __init__(self, functions: Filter, rates: Rates) -> None:
        self._functions, self._rates = functions, rates
        self._leases: dict[Payer, Lease] = {}
        self._granted: dict[Payer, Lease] = {}
        """Those that have requests in advance."""

    def of(self, payer: Payer) -> Lease | None:
        """Return a lease with requests in advance, if the rates have any; None where there are too many leases."""
        lease = self._leases.get(payer)
        if lease is None:
            if len(self._leases) >= MOST_LEASES:
                return None
            lease = self._leases[payer] = Lease(len(self._leases))
        if not lease.granted:
            self._grant(payer, lease, LEAST_LEASE)
        return lease

    def renew_spent(self, payer: Payer) -> None:
        """Give requests in advance to a lease that has none, where there is one."""
        lease = self._leases.get(payer)
        if lease is not None and not lease.granted:
            self._grant(payer, lease, LEAST_LEASE)

    def use(self, payer: Payer, requests: int) -> None:
        """Note that so many requests were paid for."""
        lease = self._leases.get(payer)
        if lease is not None:
            lease.used += requests

    def renew(self, *, granting: bool) -> None:
        """Give back what was not used. Clients that used theirs get another one, others with their next request."""
        for payer, lease in list(self._granted.items()):
            wanted = min(max(AHEAD * lease.used, LEAST_LEASE), MOST_LEASE) if granting and lease.used else 0
            lease.used = 0
            self._grant(payer, lease, wanted)

    def clear(self) -> None:
        """Forget all, once nothing is repeated."""
        self.renew(granting=False)
        self._leases.clear()

    def _grant(self, payer: Payer, lease: Lease, wanted: int) -> None:
        lease.granted = self._rates.lease(*payer, wanted) if wanted else 0
        if lease.granted:
            self._granted[payer] = lease
        else:
            self._granted.pop(payer, None)
        left = self._functions.bridge_lease(lease.number, lease.granted)
        if left:
            self._rates.give_back(*payer, left)
