"""The page that a one-time link leads to, and its button: as a browser without scripts presses it."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx

_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


def fields_of(page: str) -> dict[str, str]:
    """Return what the form of a page sends."""
    return {name: html.unescape(value) for name, value in _HIDDEN.findall(page)}


async def follow(browser: httpx.AsyncClient, link: str, **how: Any) -> httpx.Response:
    """Open a link and press its button; return what that answers, or the page where it has none."""
    page = await browser.get(link, **how)
    fields = fields_of(page.text)
    return await browser.post(link.partition("?")[0], data=fields, **how) if fields else page
