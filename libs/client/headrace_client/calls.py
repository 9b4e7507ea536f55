"""Operations as generators: they yield what is to be done outside and get the result sent back.

One operation serves both clients. It decides (token, deadline, retry) and never waits itself; `drivers` performs the
steps, one by blocking, one by awaiting.
"""

from __future__ import annotations

import functools
import random
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from google.protobuf import message_factory
from google.protobuf.message import Message
from headrace.tensor.v1 import tensor_pb2

from headrace_client.errors import DeadlineExceeded, HeadraceError, Unauthenticated
from headrace_client.retries import RetryBudget, RetryPolicy, next_wait
from headrace_client.tokens import TokenCache, TokenProvider
from headrace_client.web_pages import WebPages

_NO_TOKEN = "no token was sent: set HEADRACE_TOKEN or HEADRACE_TOKEN_FILE, or give Client(token=…)"
# A call that lasted longer before its token was refused had begun with a good one.
GOOD_FOR_S = 5.0
# What the front door lets through; ids of other forms travel in the message only.
_HEADER_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Response]):
    """One RPC: its path and the types of its messages."""

    path: str
    request: type[Request]
    response: type[Response]
    client_stream: bool = False
    server_stream: bool = False


@functools.cache
def method_of(answer: type[Response]) -> Method[Any, Response]:
    """Return the RPC that answers with messages of a type, as the descriptors have it: each has a response of its own.

    >>> from headrace.rollout.v1 import rollout_pb2
    >>> method_of(rollout_pb2.WatchRolloutResponse).path
    '/headrace.rollout.v1.RolloutService/WatchRollout'
    """
    services = answer.DESCRIPTOR.file.services_by_name.values()
    methods = (one for service in services for one in service.methods if one.output_type is answer.DESCRIPTOR)
    found = next(one for one in methods if not one.GetOptions().deprecated)  # those are former names of others
    return Method(
        f"/{found.containing_service.full_name}/{found.name}",
        message_factory.GetMessageClass(cast("Any", found.input_type)),
        answer,
        found.client_streaming,
        found.server_streaming,
    )


@dataclass(frozen=True, slots=True)
class Hedge:
    """A second request beside one that is late; the first answer counts. allowed: asked when the time has come."""

    after_s: float
    allowed: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Call:
    """Step: perform one try of an RPC; the result is the answer.

    request: the message, or for a client stream a function that returns a new iterator of the messages. hedge: for
    unary calls only. trailers: called with the trailing metadata of a unary answer, by name.
    """

    method: Method[Any, Any]
    request: Message | Callable[[], Iterator[Message]]
    timeout_s: float
    metadata: tuple[tuple[str, str], ...]
    hedge: Hedge | None = None
    trailers: Callable[[Mapping[str, str | bytes]], None] | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """Step: perform one try of an RPC that answers each message of a stream once, in order; there is no result.

    messages: returns a new iterator of them. received: called with each answer. window: bound of unanswered messages.
    """

    method: Method[Any, Any]
    messages: Callable[[], Iterator[Message]]
    received: Callable[[Any], None]
    window: int
    timeout_s: float
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Listen:
    """Step: perform one try of an RPC that answers one message with a stream; there is no result.

    received: gets each answer.
    """

    method: Method[Any, Any]
    request: Message
    received: Callable[[Any], None]
    timeout_s: float
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Step: read a page of the front door by HTTP, which blocks; the result is its text."""

    read: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Pause:
    """Step: let that many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class FetchToken:
    """Step: ask the provider; the result is the token."""

    provider: TokenProvider


Step = Call | Exchange | Listen | Page | Pause | FetchToken
Operation = Generator[Step, Any, Result]


@dataclass(frozen=True, slots=True)
class Session:
    """What every operation of a client shares. Clocks, chance and ids are fields so that tests hold them."""

    tokens: TokenCache
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    monotonic: Callable[[], float] = time.monotonic
    now_s: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    headers: tuple[tuple[str, str], ...] = ()
    pages: WebPages | None = None
    # By model and version, of those that were asked with tables: one program asks few.
    contracts: dict[tuple[str, str], tensor_pb2.ServingContract] = field(default_factory=dict)
    budget: RetryBudget = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", RetryBudget(self.retry, self.monotonic))


def invoke(
    session: Session,
    answer: type[Response],
    request: Message | Callable[[], Iterator[Message]],
    *,
    timeout_s: float,
    idempotent: bool = True,
    request_id: str = "",
    hedge_after_s: float | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    trailers: Callable[[Mapping[str, str | bytes]], None] | None = None,
    listen: Callable[[], Callable[[Any], None]] | None = None,
    repeatable: Callable[[], bool] = lambda: True,
) -> Operation[Response]:
    """Return the answer of an RPC, tried again within `timeout_s` where that is safe. Raises a HeadraceError.

    answer: the type of it, by which the RPC is found. idempotent: true for reads and for writes that carry a
    request_id. request_id: for the logs of everything that the call passes through, the same over all tries; made when
    empty. hedge_after_s: None sends nothing twice at a time. headers: sent besides. trailers: called with the answer's
    trailing metadata. listen: for a streaming RPC, returns the receiver of one try's answers; called once for each try.
    repeatable: asked after a try that failed, whether there may be another one.
    """
    method, deadline = method_of(answer), session.monotonic() + timeout_s
    session.budget.earn()
    hedge = None if hedge_after_s is None else Hedge(hedge_after_s, session.budget.spend)
    followed = (("x-request-id", _as_header(request_id) or session.new_id()), *session.headers, *headers)
    attempt, token_refused = 1, False
    while True:
        remaining_s = deadline - session.monotonic()
        if remaining_s <= 0:
            raise DeadlineExceeded(f"no answer within {timeout_s:g} s")
        token = yield from token_of(session)
        metadata, tried_at = (*authorization(token), *followed), session.monotonic()
        try:
            if listen is not None:
                return (yield Listen(method, cast("Message", request), listen(), remaining_s, metadata))
            return (yield Call(method, request, remaining_s, metadata, hedge, trailers))
        except Unauthenticated as error:
            # Perhaps it expired, or the issuer has new keys: one fresh token, then the refusal stands. Of one that was
            # good for a while it says nothing: a stream ends with its token, and may outlive many.
            outlived = error.reason == "TOKEN_EXPIRED" and session.monotonic() - tried_at > GOOD_FOR_S
            error.remedy = "" if token else _NO_TOKEN
            if token is None or (token_refused and not outlived):
                raise
            token_refused = True
            session.tokens.drop(token)
        except HeadraceError as error:
            remaining_s = deadline - session.monotonic()
            wait_s = (
                next_wait(
                    error, attempt=attempt, remaining_s=remaining_s, policy=session.retry, random=session.random()
                )
                if idempotent and repeatable()
                else None
            )
            if wait_s is None or not session.budget.spend():
                raise
            attempt += 1
            yield Pause(wait_s)


def _as_header(request_id: str) -> str:
    """Return an id that a header can carry as it is; empty for any other."""
    return request_id if _HEADER_ID.fullmatch(request_id) else ""


def authorization(token: str | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call with a token."""
    return () if token is None else (("authorization", f"Bearer {token}"),)


def token_of(session: Session) -> Operation[str | None]:
    """Return a token that is still good for a while, or None for a session without."""
    if session.tokens.provider is None:
        return None
    now_s = session.now_s()
    token = session.tokens.fresh(now_s)
    if token is None:
        fetched: str = yield FetchToken(session.tokens.provider)
        token = session.tokens.keep(fetched, now_s)
    return token
