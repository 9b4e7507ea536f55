"""What is asked of the store in one MGET, and who wants what of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from headrace_router.data.lookup.layers import OnValues

log = structlog.get_logger()


@dataclass(slots=True)
class Get:
    """What one request wants."""

    keys: tuple[bytes, ...]
    told: OnValues
    patient: bool


class Mget:
    """One MGET under way. gets: what is wanted of it, in its order; released: whether only the patient still wait."""

    __slots__ = ("gets", "released", "timer")

    def __init__(self, gets: list[Get]) -> None:
        self.gets = gets
        self.released = False
        self.timer: asyncio.TimerHandle | None = None

    def settle(self, values: Sequence[bytes | None] | None) -> None:
        """Give everybody who waits their values, or None when there are none."""
        if self.timer is not None:
            self.timer.cancel()
        at, gets = 0, self.gets
        self.gets = []
        for get in gets:
            if get.patient or not self.released:
                _tell(get, None if values is None else values[at : at + len(get.keys)])
            at += len(get.keys)

    def release(self) -> None:
        """Tell those who are not patient that there is nothing."""
        if not self.released:
            self.released = True
            for get in self.gets:
                if not get.patient:
                    _tell(get, None)


def _tell(get: Get, values: Sequence[bytes | None] | None) -> None:
    try:
        get.told(values)
    except Exception:  # one that cannot take its values must not strand those behind it
        log.exception("stored answers not taken")
