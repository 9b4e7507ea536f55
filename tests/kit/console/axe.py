"""axe-core, which says what in a page keeps people out: from npm, pinned by its digest, kept below .headrace."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.kit.console import npm

# MPL-2.0; it is brought for tests alone and is no part of what is delivered.
VERSION = "4.14.1"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"


def axe() -> str:
    """Return the script. Skips the test, saying so, where npm is missing or brings nothing."""
    folder = npm.installed("axe-core", VERSION)
    if not folder:
        pytest.skip("NOT CHECKED for accessibility: npm is not there (apt-get install npm), or cannot fetch axe-core")
    script = Path(folder, "axe.min.js")
    content = script.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256, f"{script} is not axe-core {VERSION}: remove its folder"
    return content.decode()


def serious(page: Page, script: str) -> list[tuple[str, list[str]]]:
    """Return what axe finds serious or worse in a page: the rule, and elements that break it."""
    # The content policy keeps scripts of others out of the page itself: this one is Playwright's.
    page.evaluate(script)
    results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (one["id"], [node["html"][:160] for node in one["nodes"][:2]])
        for one in results["violations"]
        if one["impact"] in ("serious", "critical")
    ]
