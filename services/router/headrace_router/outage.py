"""What a rate limit does while data planes cannot count together."""

from __future__ import annotations

import enum


class Outage(enum.IntEnum):
    """What holds while data planes cannot count together: numbers as in the API."""

    LOCAL = 1
    OPEN = 2
    CLOSED = 3
