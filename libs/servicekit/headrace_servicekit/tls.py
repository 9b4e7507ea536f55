"""Certificates for servers and clients, from files; servers reread them when they change."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc

from headrace_servicekit.settings import TlsSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files. A server needs cert and key, and checks callers against `ca` when it is set.

    A client checks the server against `ca`, and presents cert and key when they are set.
    internal: names in callers' certificates that stand for other services; none: every one of `ca` does.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    internal: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: TlsSettings) -> Tls | None:
        """Return the TLS files of a service's settings, or None when it runs without TLS."""
        if settings.tls_cert is None:
            return None
        return cls(settings.tls_cert, settings.tls_key, settings.tls_ca, frozenset(settings.tls_internal))


def server_credentials(tls: Tls) -> grpc.ServerCredentials:
    """Return credentials that follow the files: a certificate renewed on disk is used from the next handshake on.

    Raises OSError when a file cannot be read, ValueError when cert or key are missing.
    """
    if tls.cert is None or tls.key is None:
        raise ValueError("a server needs a certificate and its key")
    follower = _Follower(tls.cert, tls.key, tls.ca)
    return grpc.dynamic_ssl_server_credentials(
        follower.read(), follower, require_client_authentication=tls.ca is not None
    )


def channel_credentials(tls: Tls) -> grpc.ChannelCredentials:
    """Return credentials for a channel. Raises OSError when a file cannot be read."""
    return grpc.ssl_channel_credentials(
        root_certificates=_bytes(tls.ca), private_key=_bytes(tls.key), certificate_chain=_bytes(tls.cert)
    )


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return the same for `headrace_servicekit.http2`. Raises OSError and ValueError as above."""
    if tls.cert is None or tls.key is None:
        raise ValueError("a server needs a certificate and its key")
    follower = _Follower(tls.cert, tls.key, tls.ca)
    follower.read()  # its errors name the file, those of ssl do not
    current = first = _server_context(tls.cert, tls.key, tls.ca)

    def use_current(connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal current
        current = follower.renewed(lambda: _server_context(follower.cert, follower.key, follower.ca)) or current
        connection.context = current

    first.sni_callback = use_current
    return first


def _server_context(cert: Path, key: Path, ca: Path | None) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, ca)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED if ca is not None else ssl.CERT_NONE
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return what `headrace_servicekit.http2` connects with. Raises OSError when a file cannot be read."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, tls.ca)
    if tls.ca is None:
        context.load_default_certs()
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def _context(side: int, ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    if ca is not None:
        context.load_verify_locations(ca)
    return context


class _Follower:
    """Reads the files again when one of them has changed; a half-written set keeps the old one."""

    def __init__(self, cert: Path, key: Path, ca: Path | None) -> None:
        self.cert, self.key, self.ca = cert, key, ca
        self._seen = self._stamps()

    def __call__(self) -> Any:
        return self.renewed(self.read)

    def renewed(self, load: Callable[[], T]) -> T | None:
        """Return what `load` makes of the files if they have changed and can be used, else None."""
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return None
            fresh = load()
        except OSError:
            return None
        self._seen = stamps
        return fresh

    def read(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(self.key.read_bytes(), self.cert.read_bytes())], root_certificates=_bytes(self.ca)
        )

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        paths = [path for path in (self.cert, self.key, self.ca) if path is not None]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in (path.stat() for path in paths))


def _bytes(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
