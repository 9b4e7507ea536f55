"""One POST to a webhook: within its time, to where webhooks may be, and no further."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

import aiohttp

from headrace_servicekit.outbox.authorities import Authorities
from headrace_servicekit.outbox.backoff import asked_pause
from headrace_servicekit.outbox.destinations import RefusedError
from headrace_servicekit.outbox.formats import Message
from headrace_servicekit.outbox.guard import Guard, GuardedResolver

_CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it. problem: empty for success; it tells no more of the receiver than its status."""

    problem: str
    pause: timedelta = timedelta()


class Poster:
    """Connections to receivers. timeout_s: of a whole POST. authorities: that their certificates may be from.

    guard: says where receivers may be.
    """

    def __init__(self, timeout_s: float, authorities: Authorities, guard: Guard) -> None:
        self._authorities, self._guard = authorities, guard
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(_CONNECT_S, timeout_s))
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Poster:
        for scheme in ("http", "https"):
            # Resolve the name for each connection and do not pool connections: its address may change.
            connector = aiohttp.TCPConnector(
                resolver=GuardedResolver(scheme, self._guard), use_dns_cache=False, force_close=True, limit=64
            )
            self._sessions[scheme] = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()

    async def post(self, url: str, message: Message) -> Answer:
        """Send a message. Whatever goes wrong is in the answer."""
        try:
            # Once more: the rules may be others than when it was kept. A name is judged where it is connected to.
            to = await self._guard.written(url)
            async with self._sessions[to.scheme].post(
                url,
                data=message.body,
                headers=message.headers,
                allow_redirects=False,
                ssl=self._authorities.context(),
            ) as answer:
                return _judged(answer)
        except TimeoutError:
            return Answer(f"no answer within {self._timeout.total:g} s")
        except aiohttp.ClientConnectorCertificateError as error:
            return Answer(f"its certificate is refused: {_why(error.certificate_error)}")
        except (RefusedError, aiohttp.ClientConnectorError) as error:
            refusal = error if isinstance(error, RefusedError) else error.os_error
            if isinstance(refusal, RefusedError):
                return Answer(f"the URL {refusal}")
            return Answer(f"cannot be reached ({type(error).__name__})")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Its text may repeat the URL, which may be a secret.
            return Answer(f"cannot be reached ({type(error).__name__})")


def _judged(answer: aiohttp.ClientResponse) -> Answer:
    if 200 <= answer.status < 300:
        return Answer("")
    if 300 <= answer.status < 400:
        return Answer(f"answered {answer.status}: redirects are not followed, give the final URL")
    return Answer(f"answered {answer.status}", asked_pause(answer.headers.get("Retry-After")))


def _why(error: Exception) -> str:
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else type(error).__name__
