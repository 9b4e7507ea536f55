"""Pages of alerts, the latest first."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.monitor.v1 import alert_pb2
from headrace_servicekit.resource_names import invalid

from headrace_monitor.alert.decisions.values import AlertView

DEFAULT_SIZE = 50
MAX_SIZE = 1000
_MAX_TOKEN_CHARS = 512


@dataclass(frozen=True, slots=True)
class Page:
    """query: what the token belongs to. before: id that the page begins below; None for the first."""

    query: tuple[str, int]
    size: int
    before: int | None

    def token(self, found: Sequence[AlertView]) -> str:
        """Return the token of the next page, when more was found than the page holds."""
        if len(found) <= self.size:
            return ""
        text = json.dumps([*self.query, found[self.size - 1].alert.id])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def page(request: alert_pb2.ListAlertsRequest) -> Page:
    """Return the requested page. Raises InvalidArgument."""
    if request.page_size < 0:
        raise invalid("page_size", f"{request.page_size} is negative; 0 means {DEFAULT_SIZE}")
    query = (request.model, request.state)
    size = min(request.page_size or DEFAULT_SIZE, MAX_SIZE)
    return Page(query, size, _before(request.page_token, query))


def _before(token: str, query: tuple[str, int]) -> int | None:
    if not token:
        return None
    if len(token) <= _MAX_TOKEN_CHARS and token.isascii():
        try:
            decoded = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        except (ValueError, binascii.Error, RecursionError):
            decoded = None
        match decoded:
            case [str(model), int(state), int(before)] if (model, state) == query and 0 <= before < 2**63:
                return before
    raise invalid("page_token", "is not a token of this query; begin again with an empty one")
