"""Pages of the front door, read by HTTP/1."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from headrace_client.address import Address
from headrace_client.errors import DeadlineExceeded, HeadraceError, Unauthenticated, Unavailable, from_json

_MAX_PAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WebPages:
    """Reads pages.

    authorities: certificates in PEM to trust; None for those of this machine. server_name: that the certificate must
    have; empty for the host of the address.
    """

    address: Address
    authorities: str | None
    server_name: str = ""

    def read(self, path: str, metadata: Iterable[tuple[str, str]], timeout_s: float, kind: str = "text/html") -> str:
        """Return a page of a media type. Raises a HeadraceError."""
        connection = self._connection(timeout_s)
        try:
            connection.request("GET", path, headers={"accept": kind, **dict(metadata)})
            # An answer that ends its connection holds the socket itself.
            with connection.getresponse() as answer:
                content = answer.read(_MAX_PAGE_BYTES).decode("utf-8", "replace")
        except TimeoutError as error:
            raise DeadlineExceeded(f"no page within {timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"cannot read {self.address.url}{path}: {error}") from error
        finally:
            connection.close()
        if answer.status == http.client.OK and answer.headers.get_content_type() == kind:
            return content
        if answer.status == http.client.SEE_OTHER:  # to the sign-in of browsers
            raise Unauthenticated(f"{self.address.url}{path} needs a token")
        raise from_json(content) or HeadraceError(f"{self.address.url}{path} answers HTTP {answer.status}")

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if not self.address.tls:
            return http.client.HTTPConnection(self.address.host, self.address.port, timeout=timeout_s)
        connection = _TlsConnection(self.address.host, self.address.port, timeout=timeout_s)
        connection.context = ssl.create_default_context(cadata=self.authorities)
        connection.server_name = self.server_name or self.address.host
        return connection


class _TlsConnection(http.client.HTTPConnection):
    """As HTTPSConnection, which cannot verify another name than that of its address."""

    context: ssl.SSLContext
    server_name: str

    def connect(self) -> None:
        super().connect()
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.server_name)
