"""Writes pictures of the console's pages beside this file: `make screenshots`, after `make demo`.

Each page light, dark, and as wide as a telephone. It drives the machine's own Chromium.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from headrace_stack.debian_programs import find_browser
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
PAGES = {
    "home": "",
    "model": "models/digits",
    "version": "models/digits/versions/v2",
    "route": "models/digits/route",
    "rollouts": "rollouts",
    "rollout": "rollouts#first",
    "data": "models/digits/data",
    "shadow": "models/digits/shadow",
    "experiments": "experiments",
    "experiment": "experiments#first",
    "predictions": "predictions",
    "pools": "pools",
    "pool": "pools/default",
    "replay": "pools/default/replay",
    "alerts": "alerts",
    "jobs": "jobs",
    "job": "jobs#first",
    "search": "search?q=digits",
    "audit": "audit",
}
# The first of a list.
FIRST = "#first"
LOOKS = {"light": ("light", 960, 600), "dark": ("dark", 960, 600), "telephone": ("light", 360, 640)}


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


def pictures(running: Browser) -> None:
    """Write every page in every look."""
    pages = {**PAGES, "predictions": explained()}
    for look, (scheme, width, height) in LOOKS.items():
        context = running.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": height}
        )
        page = context.new_page()
        page.goto(link())
        home = page.url
        for name, path in pages.items():
            page.goto(home + path.removesuffix(FIRST))
            if path.endswith(FIRST):
                first = page.locator("tbody th a").first
                if not first.count():
                    continue  # there is none: its picture stays as it was
                page.goto(home.removesuffix("/console/") + (first.get_attribute("href") or ""))
            page.screenshot(path=HERE / f"{name}-{look}.png")
        context.close()


def main() -> int:
    program = find_browser(HERE.parents[1])
    if program is None:
        sys.stderr.write("make screenshots: no Chromium here; apt-get install chromium\n")
        return 1
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        pictures(running)
        running.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
