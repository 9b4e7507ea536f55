"""Certificates for servers and clients, from files; servers reread them when they change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from headrace_servicekit.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files. A server needs cert and key, and checks callers against `ca` when it is set.

    A client checks the server against `ca`, and presents cert and key when they are set.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    @classmethod
    def of(cls, settings: ServiceSettings) -> Tls | None:
        """Return the TLS files of a service's settings, or None when it runs without TLS."""
        if settings.tls_cert is None:
            return None
        return cls(settings.tls_cert, settings.tls_key, settings.tls_ca)


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


class _Follower:
    """Reads the files again when one of them has changed; a half-written set keeps the old one."""

    def __init__(self, cert: Path, key: Path, ca: Path | None) -> None:
        self._cert, self._key, self._ca = cert, key, ca
        self._seen = self._stamps()

    def __call__(self) -> Any:
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return None
            fresh = self.read()
        except OSError:
            return None
        self._seen = stamps
        return fresh

    def read(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(self._key.read_bytes(), self._cert.read_bytes())], root_certificates=_bytes(self._ca)
        )

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        paths = [path for path in (self._cert, self._key, self._ca) if path is not None]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in (path.stat() for path in paths))


def _bytes(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
