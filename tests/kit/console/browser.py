"""The console of a whole stack in a real browser, signed in."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from headrace_client import Client
from headrace_client.issuer import DevelopmentIssuer
from playwright.sync_api import Page, Response

from tests.kit.console.chromium import Watched, browser
from tests.kit.models import onnx_models
from tests.kit.stack.running import RunningStack

SUBJECT = "console-tests"


def link(
    stack: RunningStack, then: str = "/console/", subject: str = SUBJECT, models: Sequence[str] | None = None
) -> str:
    """Return a one-time link that leads to a page. models: patterns of those that its token names; None for all."""
    issuer = DevelopmentIssuer(stack.settings.identity)
    asked = {"link": issuer.console_link(subject=subject, now=datetime.now(UTC), models=models), "then": then}
    return f"{stack.url}/console/sign-in/link?{urllib.parse.urlencode(asked)}"


def sign_in(page: Page, link: str) -> Response | None:
    """Open a one-time link and press its button; return what answers that."""
    page.goto(link)
    with page.expect_navigation() as there:
        page.get_by_role("button").click()
    return there.value


@contextmanager
def watched_page(stack: RunningStack) -> Iterator[Watched]:
    """Open a browser, signed in at the first page, until the block ends."""
    with browser() as running:
        page = running.new_context(viewport={"width": 1280, "height": 800}).new_page()
        seen = Watched(page, stack.address)
        sign_in(page, link(stack))
        assert page.title() == "Home · Headrace"
        yield seen


def two_versions(stack: RunningStack, model: str, folder: Path) -> Client:
    """Register two versions of a model, the first in production, and return a client that sees them."""
    client = Client(stack.address, token=stack.token(SUBJECT))
    for number, version in enumerate(("v1", "v2")):
        path = folder / f"{version}.onnx"
        path.write_bytes(onnx_models.linear(seed=number).content)
        client.versions.register(model, version, path, metrics={"accuracy": 0.95, "latency_p99_ms": 2.0})
    promoted = client.models.promote(model, "v1", reason="the first one")
    client.routes.await_epoch(model, promoted.model.epoch, timeout=120)
    return client
