"""Connections to PostgreSQL: every wait is bounded, broken ones are replaced, and its absence is Unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import asyncpg

from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import ServiceError, Unavailable
from headrace_servicekit.fair_share import FairTurns
from headrace_servicekit.peers import Peer
from headrace_servicekit.postgres.passfile import password_for
from headrace_servicekit.settings import PostgresSettings

T = TypeVar("T")

CONNECT_TIMEOUT_S = 2.0
ACQUIRE_TIMEOUT_S = 4.0
COMMAND_TIMEOUT_S = 5.0
ROLLBACK_TIMEOUT_S = 1.0
RETRY_AFTER_S = 1.0
# How often a connection that only listens is asked whether anybody is still there, and how long the answer may take.
PROBE_S = 3.0
# For how long it must have been well before its next absence is logged.
LOG_AGAIN_AFTER_S = 10.0

BEGIN = "begin"
# Several reads that agree with each other.
BEGIN_SNAPSHOT = "begin isolation level repeatable read, read only"

# A connection broken by a restart of the server is noticed when it is next used, so one call may meet several.
_TRIES = 3

_SERVER_SETTINGS = {
    # Whatever the server's default: what a service acknowledged survives a crash.
    "synchronous_commit": "on",
    "statement_timeout": "5000",
    "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "10000",
    "timezone": "UTC",
}

# The server is there and says "not now" or "not here": a full disk, a standby, a deadlock, a limit, a password that an
# operator is about to correct.
_NOT_NOW = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.PostgresSystemError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # An older backup was put back and is not migrated yet.
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
)
_BROKEN = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is. url has no password: that is in the passfile (the format of libpq's .pgpass)."""

    url: str
    passfile: Path | None = None

    @classmethod
    def of(cls, settings: PostgresSettings) -> Address:
        """Return where the settings of a service say that its database is."""
        return cls(settings.database_url, settings.database_passfile)

    def password(self) -> dict[str, Any]:
        """Return asyncpg's argument: the file is read for each connection, so that a change of it counts."""
        passfile = self.passfile
        return {} if passfile is None else {"password": lambda: password_for(self.url, passfile)}


class Transactions(Protocol):
    """What reads and writes a database: `Connections`, or a lease on which the same writes are a leader's."""

    def transaction(self, *, begin: str = BEGIN, validate_only: bool = False) -> AbstractAsyncContextManager[Any]:
        """Lend a connection inside a transaction, which is rolled back with validate_only."""
        ...

    async def repeatable(self, act: Callable[[Any], Awaitable[T]]) -> T:
        """Run what is safe to repeat and return its result."""
        ...


class Connections:
    """A pool of connections. Opening it needs no server; using it while there is none raises Unavailable.

    owner: whose database it is, as operators and callers read it ("registry"). reason: of Unavailable.
    """

    def __init__(self, address: Address, *, owner: str, size: int, reason: str = "DATABASE_UNAVAILABLE") -> None:
        self._address, self._owner, self._size, self._reason = address, owner, size, reason
        self._pool: asyncpg.Pool | None = None
        self._turns = FairTurns(size)
        self._peer = Peer("postgres", every_s=RETRY_AFTER_S, max_backoff_s=LOG_AGAIN_AFTER_S, owner=owner)

    async def __aenter__(self) -> Self:
        # Transactions are ended here, and nothing else is left behind on a connection: the pool's RESET is not needed.
        self._pool = await asyncpg.create_pool(min_size=0, max_size=self._size, reset=_nothing, **self._arguments())
        return self

    async def __aexit__(self, *_: object) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    @asynccontextmanager
    async def transaction(self, *, begin: str = BEGIN, validate_only: bool = False) -> AsyncIterator[Any]:
        """Lend a connection inside a transaction. A broken connection is replaced before it begins, never after.

        validate_only: roll back at the end: what the block would write is checked by the database and not stored.
        """
        with self._translated():
            async with self._turns.turn(within_s=ACQUIRE_TIMEOUT_S):
                connection = await self._working(lambda candidate: candidate.execute(begin))
                bordered = _Bordered(connection, self.reading)
                try:
                    yield bordered
                    await bordered.execute("rollback" if validate_only else "commit")
                except (ServiceError, asyncpg.PostgresError) as error:
                    if isinstance(error, _Unreadable):
                        _drop(connection)
                    else:
                        await _roll_back(connection)
                    raise
                except BaseException:
                    # Broken, out of time or cancelled: the server rolls back when it sees that we are gone.
                    _drop(connection)
                    raise
                finally:
                    await self._give_back(connection)

    async def repeatable(self, act: Callable[[Any], Awaitable[T]]) -> T:
        """Run what is safe to repeat and return its result; again on another connection when the first one breaks."""
        found: list[T] = []

        async def run(connection: Any) -> None:
            with self.reading():
                found.append(await act(connection))

        with self._translated():
            async with self._turns.turn(within_s=ACQUIRE_TIMEOUT_S):
                connection = await self._working(run)
                await self._give_back(connection)
        return found[-1]

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Any]:
        """Lend a new connection outside the pool, for migrations and for listening; closed at the end."""
        with self._translated():
            with self.reading():
                connection = await asyncpg.connect(**self._arguments())
            try:
                yield _Bordered(connection, self.reading)
            finally:
                connection.terminate()

    async def notices(self, channel: str, *, probe_s: float = PROBE_S) -> AsyncIterator[None]:
        """Yield at once and at each notification of the channel; raise Unavailable when the connection ends.

        A server that vanished is as silent as an idle one, so the connection is probed.
        """
        wakeup = Wakeup()
        async with self.alone() as connection:
            connection.add_termination_listener(lambda _: wakeup.wake())
            await connection.add_listener(channel, lambda *_: wakeup.wake())
            while not connection.is_closed():
                yield None
                while not await wakeup.wait(probe_s):
                    await connection.execute("select 1", timeout=probe_s)
        raise Unavailable("the connection that listens for changes ended", retry_after_s=RETRY_AFTER_S)

    async def _working(self, act: Callable[[Any], Awaitable[object]]) -> Any:
        """Return a connection of the pool on which `act` succeeded; `act` must be safe to repeat."""
        for attempt in range(1, _TRIES + 1):
            connection = await self._acquired()
            try:
                await act(_Bordered(connection, self.reading))
                self._peer.well()
                return connection
            except (*_BROKEN, _Unreadable):
                _drop(connection)
                if attempt == _TRIES:
                    raise
            except BaseException as error:
                if not isinstance(error, asyncpg.PostgresError):
                    _drop(connection)
                await self._give_back(connection)
                raise
        raise AssertionError("unreachable")

    async def _acquired(self) -> Any:
        if self._pool is None:
            raise Unavailable(f"the {self._owner} is stopping", reason="STOPPING", retry_after_s=RETRY_AFTER_S)
        with self.reading():
            return await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)

    async def _give_back(self, connection: Any) -> None:
        """Return a connection to the pool; one that was terminated has left it already."""
        if self._pool is not None:
            try:
                await self._pool.release(connection, timeout=ROLLBACK_TIMEOUT_S)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                pass  # the pool has dropped it

    def _arguments(self) -> dict[str, Any]:
        return {
            "dsn": self._address.url,
            **self._address.password(),
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": COMMAND_TIMEOUT_S,
            "server_settings": {"application_name": f"headrace-{self._owner.replace(' ', '-')}", **_SERVER_SETTINGS},
        }

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Take whatever reading from the server raises for the end of that connection: Unavailable.

        For a block that only calls the server, or reads the rows that it sent. What the server itself says rises as it
        is, and so does a connection that is known to be broken.
        """
        try:
            yield
        except (ServiceError, asyncpg.PostgresError, *_BROKEN, OSError):
            raise
        except Exception as error:
            self._peer.failed(error)
            unavailable = self._unavailable("sent what cannot be read", error)
            raise _Unreadable(
                unavailable.public_message, reason=unavailable.reason, retry_after_s=RETRY_AFTER_S
            ) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the absence of the database into Unavailable; its other errors are defects of ours and rise as such."""
        try:
            yield
        except (asyncpg.QueryCanceledError, TimeoutError) as error:
            raise self._unavailable("did not answer in time", error) from error
        except _NOT_NOW as error:
            raise self._unavailable("cannot serve this now", error) from error
        except (*_BROKEN, OSError) as error:
            self._peer.failed(error)
            raise self._unavailable("cannot be reached", error) from error

    def _unavailable(self, what: str, error: BaseException) -> Unavailable:
        # Only the error's type enters the message, and so the reason of the health component; its text may hold
        # secrets.
        return Unavailable(
            f"the {self._owner}'s database {what} ({type(error).__name__})",
            reason=self._reason,
            retry_after_s=RETRY_AFTER_S,
        )


class _Unreadable(Unavailable):
    """What came over a connection cannot be read: it may be out of step, and is not used again."""


class _Bordered:
    """A connection whose answers are read within a border (`Connections.reading`)."""

    def __init__(self, connection: Any, reading: Callable[[], AbstractContextManager[None]]) -> None:
        self._connection, self._reading = connection, reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        with self._reading():
            return await self._connection.execute(*args, **kwargs)

    async def executemany(self, *args: Any, **kwargs: Any) -> Any:
        with self._reading():
            return await self._connection.executemany(*args, **kwargs)

    async def fetch(self, *args: Any, **kwargs: Any) -> Any:
        with self._reading():
            return await self._connection.fetch(*args, **kwargs)

    async def fetchrow(self, *args: Any, **kwargs: Any) -> Any:
        with self._reading():
            return await self._connection.fetchrow(*args, **kwargs)

    async def fetchval(self, *args: Any, **kwargs: Any) -> Any:
        with self._reading():
            return await self._connection.fetchval(*args, **kwargs)


async def _roll_back(connection: Any) -> None:
    try:
        async with asyncio.timeout(ROLLBACK_TIMEOUT_S):
            await connection.execute("rollback")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        _drop(connection)


def _drop(connection: Any) -> None:
    """Close a connection without a word. One whose end the pool has noticed already has left it, which is as good."""
    try:
        connection.terminate()
    except asyncpg.InterfaceError:
        pass


async def _nothing(_connection: object) -> None:
    pass
