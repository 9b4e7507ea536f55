"""The machine's own Chromium, or Debian's that `make test` laid out, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from headrace_stack import debian_programs
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.kit.deployment.topology import CHECKOUT

# In a container there is neither a sandbox to be had nor much shared memory.
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]


def chromium() -> str | None:
    """Return where the browser is; None where there is none."""
    found = debian_programs.find_browser(CHECKOUT)
    return None if found is None else str(found)


@contextmanager
def browser() -> Iterator[Browser]:
    """Run the browser until the block ends."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        try:
            yield running
        finally:
            running.close()


@dataclass
class Watched:
    """A page, and everything that went wrong in it: errors of scripts and policies, requests to other hosts."""

    page: Page
    host: str
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        # A status of ours is what a page is about, such as a refusal.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def _asked(self, request: Request) -> None:
        target = urlsplit(request.url)
        if target.scheme not in ("data", "blob") and target.netloc != self.host:
            self.errors.append(f"asked {request.url}")
