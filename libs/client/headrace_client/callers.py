"""Methods of clients and of their groups: one row for each operation serves the blocking and the awaiting client."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from headrace_client.calls import Operation, Session

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Blocking:
    """How `Client` calls: it returns answers."""


class Awaiting:
    """How `AsyncClient` calls: it returns coroutines."""


Kind = TypeVar("Kind", Blocking, Awaiting)


class Caller(Generic[Kind]):
    """What runs operations: a client. _driver: of the kind that it says."""

    _session: Session
    _driver: Any


class Group(Generic[Kind]):
    """Methods of a client for one kind of resource, such as `client.models`."""

    def __init__(self, client: Caller[Kind]) -> None:
        self._client = client


class Method(Generic[Arguments, Result]):
    """An operation as a method: `promote = Method(models.promote)`."""

    def __init__(self, operation: Callable[Concatenate[Session, Arguments], Operation[Result]]) -> None:
        self.operation = operation

    @overload
    def __get__(
        self, caller: Caller[Blocking] | Group[Blocking], owner: type | None = None
    ) -> Callable[Arguments, Result]: ...

    @overload
    def __get__(
        self, caller: Caller[Awaiting] | Group[Awaiting], owner: type | None = None
    ) -> Callable[Arguments, Coroutine[Any, Any, Result]]: ...

    @overload
    def __get__(self, caller: None, owner: type | None = None) -> Method[Arguments, Result]: ...

    def __get__(self, caller: Caller[Any] | Group[Any] | None, owner: type | None = None) -> Any:
        if caller is None:
            return self
        client: Caller[Any] = caller._client if isinstance(caller, Group) else caller

        @functools.wraps(self.operation)
        def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Any:
            return client._driver.run(self.operation(client._session, *args, **kwargs))

        return call
