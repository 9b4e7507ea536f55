"""Pages of the front door over HTTP: TLS as for calls, and refusals as exceptions."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from headrace_client import Client
from headrace_client.errors import Unavailable, Unimplemented
from headrace_servicekit import errors
from headrace_servicekit.error_details import to_json

from tests.kit.wire.certificates import Authority

ABSENT = errors.error_for(
    errors.Code.UNIMPLEMENTED,
    "the part 'console' is not installed here; add it with `make up PARTS=core,console`",
    reason="PART_NOT_INSTALLED",
    metadata={"part": "console"},
)


@contextmanager
def front_door(status: int, content: str, kind: str, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Answer every GET like this; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_without_a_console_the_error_says_how_to_add_it() -> None:
    with (
        front_door(501, json.dumps(to_json(ABSENT)), "application/json") as url,
        Client(url, token="t") as client,
        pytest.raises(Unimplemented) as refused,
    ):
        client.monitor.render_report("digits")
    assert (refused.value.reason, refused.value.metadata["part"]) == ("PART_NOT_INSTALLED", "console")
    assert "make up PARTS=core,console" in str(refused.value)


def test_a_page_is_read_from_a_front_door_whose_certificate_has_another_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem = authority.issue("door", hosts=["headrace.example.com"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem.cert, pem.key)
    with front_door(200, "<!doctype html>é", "text/html; charset=utf-8", context) as url:
        for name in ("", "headrace.example.com"):
            with Client(url, token="t", ca=authority.ca, server_name=name) as client:
                assert client.monitor.render_report("digits") == "<!doctype html>é"
        for unknown in ({"server_name": "other.example.com", "ca": authority.ca}, {}):
            with Client(url, token="t", **unknown) as client, pytest.raises(Unavailable, match="certificate"):
                client.monitor.render_report("digits")
