"""Writes pictures of the console's pages beside this file: `make screenshots`, after `make demo`.

Each page light, dark, and as wide as a telephone; three on a large screen. It drives the machine's own Chromium.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from headrace_stack.debian_programs import find_browser
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
PAGES = {
    "home": "",
    "model": "models/digits",
    "version": "models/digits/versions/v2",
    "comparison": "models/digits/comparison",
    "route": "models/digits/route",
    "rollouts": "rollouts",
    "rollout": "rollouts#first",
    "data": "models/digits/data",
    "shadow": "models/digits/shadow",
    "experiments": "experiments",
    "experiment": "models/feed/experiments#first",
    "predictions": "predictions",
    "pools": "pools",
    "pool": "pools/default",
    "replay": "pools/default/replay",
    "alerts": "alerts",
    "jobs": "jobs",
    "job": "jobs#first",
    "usage": "usage",
    "search": "search?q=digits",
    "audit": "audit",
}
# The first of a list.
FIRST = "#first"
LOOKS = {
    "light": ("light", 960, 600),
    "dark": ("dark", 960, 600),
    "telephone": ("light", 360, 640),
    "wide": ("light", 1440, 900),
}
# On a large screen these show whether room is used: the repository keeps no more of them.
WIDE = frozenset(("home", "data", "experiment"))
# Of a machine that does other things besides.
_PAGE_MS = 120_000
_AWAY = re.compile("does not answer|or is down")


def link() -> str:
    """Return a link that signs in, once."""
    command = [Path(sys.executable).with_name("headrace"), "console", "--no-browser"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def explained() -> str:
    """Have one answer explained; return the page about it."""
    program = Path(sys.executable).with_name("headrace")
    command = [program, "predict", "digits", "--rows", json.dumps([[0] * 64]), "--user", "ada", "--explain", "--json"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return f"predictions?id={answer['prediction_id']}"


def pictures(running: Browser, wanted: Sequence[str]) -> None:
    """Write these pages in every look."""
    pages = {name: PAGES[name] for name in wanted}
    if "predictions" in pages:
        pages["predictions"] = explained()
    for look, (scheme, width, height) in LOOKS.items():
        context = running.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": height}
        )
        context.set_default_timeout(_PAGE_MS)
        page = context.new_page()
        page.goto(link())
        with page.expect_navigation():
            page.get_by_role("button").click()
        home = page.url
        for name, path in pages.items():
            if look == "wide" and name not in WIDE:
                continue
            page.goto(home + path.removesuffix(FIRST))
            if path.endswith(FIRST):
                first = page.locator("tbody th a").first
                if not first.count():
                    continue  # there is none: its picture stays as it was
                page.goto(home.removesuffix("/console/") + (first.get_attribute("href") or ""))
            if page.locator(".missing").get_by_text(_AWAY).count():
                sys.stderr.write(f"{name}, {look}: a service does not answer, and the picture stays as it was\n")
                continue
            page.screenshot(path=HERE / f"{name}-{look}.png")
        context.close()


def main() -> int:
    program = find_browser(HERE.parents[1])
    if program is None:
        sys.stderr.write("make screenshots: no Chromium here; apt-get install chromium\n")
        return 1
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        pictures(running, sys.argv[1:] or list(PAGES))
        running.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
