"""The two clients: the same operations, one blocking and one awaited."""

from __future__ import annotations

import copy
import functools
import ssl
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import grpc.aio

from headrace_client.address import Address, parse_address
from headrace_client.callers import Awaiting, Blocking, Kind, Method
from headrace_client.calls import Session
from headrace_client.drivers import AsyncDriver, BlockingDriver
from headrace_client.installed import Installed
from headrace_client.local_files import read_as, text_of
from headrace_client.local_stack import default_address
from headrace_client.operations import contracts, explanations, health, prediction
from headrace_client.retries import RetryPolicy
from headrace_client.tokens import TokenCache, TokenProvider, provider_of
from headrace_client.web_pages import WebPages

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class _Connection(Installed[Kind]):
    """Where a client calls, and with which token."""

    predict = Method(prediction.predict)
    predict_stream = Method(prediction.predict_stream)
    contract = Method(contracts.contract)
    explain = Method(explanations.explain)
    health = Method(health.health)

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | TokenProvider | None = None,
        ca: Path | str | None = None,
        retry: RetryPolicy | None = None,
        server_name: str = "",
    ) -> None:
        """Open a client; nothing is sent before the first call.

        address: `host:port`, `http://…` or `https://…`; None means HEADRACE_ADDRESS, else the local
        stack's front door, else 127.0.0.1:8080.
        token: a token, or a provider asked shortly before the last one expires; None means HEADRACE_TOKEN,
        HEADRACE_TOKEN_FILE, or the development issuer of a local stack.
        ca: PEM file of the authority to trust; it turns TLS on.
        server_name: that the front door's certificate must have, where it is not that of the address.
        """
        self.address: Address = parse_address(address or default_address(), ca_given=ca is not None)
        authorities = _authorities(self.address, ca)
        pages = WebPages(self.address, authorities, server_name)
        self._session = Session(TokenCache(provider_of(token)), retry or RetryPolicy(), pages=pages)
        self._credentials = _credentials(self.address, authorities)
        self._options = _options(self.address, server_name)

    @classmethod
    def like(cls, other: _Connection, *, retry: RetryPolicy | None = None) -> Self:
        """Return a client that calls the same place with the same tokens as another one. retry: None for as it does."""
        made = cls.__new__(cls)
        session = other._session if retry is None else replace(other._session, retry=retry)
        made.address, made._session, made._credentials = other.address, session, other._credentials
        made._options = other._options
        return made

    def with_token(self, token: str | TokenProvider, headers: tuple[tuple[str, str], ...] = ()) -> Self:
        """Return a client for another caller over the same connection, which this client owns and closes.

        headers: sent with each of its calls, such as a trace context.
        """
        other = copy.copy(self)
        other._session = replace(self._session, tokens=TokenCache(provider_of(token)), headers=headers)
        other._driver = self._driver
        return other


class Client(_Connection[Blocking]):
    """Calls Headrace and blocks until the answer is there. Many threads may share one."""

    @functools.cached_property
    def _driver(self) -> BlockingDriver:
        options = self._options
        if self._credentials is None:
            return BlockingDriver(grpc.insecure_channel(self.address.target, options))
        return BlockingDriver(grpc.secure_channel(self.address.target, self._credentials, options))

    def close(self) -> None:
        """Close the connection; calls in progress fail with Cancelled."""
        if "_driver" in self.__dict__:
            self._driver.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Connection[Awaiting]):
    """Calls Headrace from an event loop. Use one per loop; any number of tasks may share it."""

    @functools.cached_property
    def _driver(self) -> AsyncDriver:
        options = self._options
        if self._credentials is None:
            return AsyncDriver(grpc.aio.insecure_channel(self.address.target, options))
        return AsyncDriver(grpc.aio.secure_channel(self.address.target, self._credentials, options))

    async def close(self) -> None:
        """Close the connection; calls in progress are cancelled."""
        if "_driver" in self.__dict__:
            await self._driver.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


_CA_REMEDY = "give certificates of authorities in PEM, each between BEGIN CERTIFICATE and END CERTIFICATE"


def _authorities(address: Address, ca: Path | str | None) -> str | None:
    if not address.tls or ca is None:
        return None
    authorities = text_of(Path(ca), "ca", "a file of certificates", _CA_REMEDY)
    with read_as("a file of certificates", Path(ca), "ca", _CA_REMEDY):
        # grpc accepts any bytes, and then rejects every server.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities)
    return authorities


def _credentials(address: Address, authorities: str | None) -> grpc.ChannelCredentials | None:
    if not address.tls:
        return None
    return grpc.ssl_channel_credentials(authorities.encode() if authorities else None)


def _options(address: Address, server_name: str) -> list[tuple[str, int | str]]:
    named: list[tuple[str, int | str]] = [("grpc.ssl_target_name_override", server_name)] if server_name else []
    return [
        *named,
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        # Tries are ours, within the caller's deadline; two layers of retries would multiply.
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # A proxy of the environment cannot reach this machine's loopback.
        ("grpc.enable_http_proxy", 0 if address.loopback else 1),
    ]
