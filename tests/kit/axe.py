"""axe-core, which says what in a page keeps people out: from npm, pinned by its digest, kept below .headrace."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page

# MPL-2.0; it is brought for tests alone and is no part of what is delivered.
PACKAGE = "axe-core@4.14.1"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
_FOLDER = Path(__file__).parents[2] / ".headrace" / "npm"
_WAIT_S = 120


def axe() -> str:
    """Return the script. Skips the test, saying why, where npm is missing or brings nothing."""
    script = _FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        _install()
    content = script.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256, f"{script} is not {PACKAGE}: remove it"
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


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("NOT CHECKED for accessibility: no npm here to bring axe-core; apt-get install npm")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    quiet = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(_FOLDER))
    try:
        subprocess.run([npm, "install", *quiet, PACKAGE], check=True, timeout=_WAIT_S, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"NOT CHECKED for accessibility: npm did not bring {PACKAGE} ({error})")
