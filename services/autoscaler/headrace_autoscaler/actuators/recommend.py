"""Decisions are made, kept and shown, and nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


class RecommendActuator:
    """Acts on nothing."""

    name = "recommend"
    acts = False

    async def targets(self, pools: Collection[str]) -> Mapping[str, int]:
        return {}

    async def scale(self, pool: str, replicas: int, first: Sequence[str]) -> None:
        raise AssertionError("a recommendation is not acted on")
