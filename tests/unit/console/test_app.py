"""What stands around every page: headers on whatever is answered, and what is counted of it."""

from typing import Any

import httpx
from headrace_console.app import create_app
from headrace_console.console import Console
from headrace_console.metrics import ConsoleMetrics
from headrace_console.pages.markup import asset
from prometheus_client import CollectorRegistry


class BrokenSessions:
    """Sessions with a defect."""

    async def find(self, secret: object) -> None:
        raise RuntimeError("a defect")


def browser(registry: CollectorRegistry) -> httpx.AsyncClient:
    unused: Any = None
    sessions: Any = BrokenSessions()
    console = Console(
        sessions=sessions,
        open_pages=unused,
        client=unused,
        sign_in=None,
        limit=unused,
        live=unused,
        traffic=unused,
        marks=unused,
        busyness=unused,
        denials=unused,
        metrics=ConsoleMetrics(registry, lambda: 0),
        tracing=None,
        secure=True,
        address="https://headrace.example.com",
    )
    app = httpx.ASGITransport(create_app(console, ready=lambda: True), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=app, base_url="http://console")


def counted(registry: CollectorRegistry) -> set[tuple[str, str, str]]:
    """Return route, method and status of what was counted."""
    return {
        (labels["http_route"], labels["http_request_method"], labels["http_response_status_code"])
        for metric in registry.collect()
        for name, labels, *_ in metric.samples
        if name == "http_server_request_duration_seconds_count"
    }


async def test_a_page_that_fails_has_the_headers_of_every_other_and_is_counted():
    registry = CollectorRegistry()
    async with browser(registry) as client:
        failed = await client.get("/console/")
        other = await client.get("/console/sign-in")
    assert failed.status_code == 500
    ours = {name: value for name, value in other.headers.items() if not name.startswith("content-")}
    assert ours.items() <= dict(failed.headers).items()
    assert failed.headers["content-security-policy"] == other.headers["content-security-policy"]
    assert ("/", "GET", "500") in counted(registry)


async def test_methods_that_nobody_has_heard_of_are_counted_as_one():
    registry = CollectorRegistry()
    async with browser(registry) as client:
        for number in range(5):
            assert (await client.request(f"METHOD{number}", "/console/")).status_code == 405
    assert {method for _, method, _ in counted(registry)} == {"_OTHER"}


async def test_a_file_is_kept_for_ever_only_at_the_address_of_its_content():
    """While versions are exchanged, an old process is asked for files at the addresses of the new one."""
    async with browser(CollectorRegistry()) as client:
        kept = (await client.get(asset("console.css"))).headers["cache-control"]
        others = [(await client.get(f"/console/static/console.css{query}")) for query in ("?0123456789ab", "")]
    assert "immutable" in kept
    assert {answer.headers["cache-control"] for answer in others} == {"no-cache"}
