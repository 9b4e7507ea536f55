"""What people type on the command line, as values."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from headrace.registry.v1 import registry_pb2

from headrace_client.durations import parse_duration
from headrace_client.errors import InvalidArgument
from headrace_client.fallbacks import FallbackStep
from headrace_client.operations.declarations import Example
from headrace_client.operations.routes import Alias, Production, Variant, Version
from headrace_client.rules import Rule

_GATE = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(>=|<=)([^@]+)(@measured)?")
_DELTA = re.compile(r"production(?:([+-][^*]+))?")
_RATIO = re.compile(r"(?:([^*]+)\*production|production\*([^*]+))")


class Duration(click.ParamType):
    """`5ms`, `30s`, `15m`, `1h`, `90d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        duration = parse_duration(str(value))
        if duration is None:
            self.fail(
                f"'{value}' is no duration; write a number and a unit, such as 5ms, 30s, 15m, 1h or 90d", param, ctx
            )
        return duration


class Pair(click.ParamType):
    """`name=text`."""

    name = "name=text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not name or not equals:
            self.fail(f"'{value}' is not NAME=VALUE", param, ctx)
        return name, self.read(text, value, param, ctx)

    def read(self, text: str, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return text


class NumberPair(Pair):
    """`name=number`."""

    name = "name=number"

    def read(self, text: str, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return _finite(self, text, f"'{value}' is not NAME=NUMBER", param, ctx)


class FilePair(Pair):
    """`name=path` of a file that exists."""

    name = "name=path"

    def read(self, text: str, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(text)
        if not path.is_file():
            self.fail(f"'{value}': there is no file {path}", param, ctx)
        return path


class VariantShare(click.ParamType):
    """`v1=90`, `production=90`, `@champion=5`; with a name of its own in front: `challenger:v2=10`; with a pool behind:
    `v2@cpu=10`."""

    name = "variant=share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Variant:
        if isinstance(value, Variant):
            return value
        declared, equals, weight = str(value).partition("=")
        if not declared or not equals:
            self.fail(f"'{value}' is not VARIANT=SHARE, such as v1=90, production=90 or challenger:v2=10", param, ctx)
        share = _finite(self, weight, f"'{value}': the share is no number", param, ctx)
        if share < 0:
            self.fail(f"'{value}': a share is not below zero", param, ctx)
        name, colon, target = declared.partition(":")
        target = target if colon else declared
        if not target or not name:
            self.fail(f"'{value}': write NAME:VERSION=SHARE or VERSION=SHARE", param, ctx)
        served, at, pool = target.removeprefix("@").partition("@")
        if not served or (at and not pool):
            self.fail(f"'{value}': write VERSION@POOL=SHARE, such as v2@cpu=10", param, ctx)
        name = name if colon else served
        if target.startswith("@"):
            return Variant(name, Alias(served), share, pool)
        return Variant(name, Production() if served == "production" else Version(served), share, pool)


def shares(variants: Sequence[Variant], *, normalise: bool) -> tuple[Variant, ...]:
    """Return the variants with their shares in percent. Raises UsageError when they do not sum to 100.

    normalise: scale them to 100 instead.
    """
    total = math.fsum(variant.weight for variant in variants)
    if not variants or math.isclose(total, 100, abs_tol=1e-6):
        return tuple(variants)
    if not total:
        raise click.UsageError("the shares sum to 0: no variant would get a request")
    if not normalise:
        raise click.UsageError(f"the shares sum to {total:g}, not 100: change them, or scale them with --normalise")
    return tuple(replace(variant, weight=100 * variant.weight / total) for variant in variants)


class RuleText(click.ParamType):
    """`country=DE,AT app=ios-* !beta -> v3`, or with a name of its own in front: `germans: country=DE -> v3`."""

    name = "rule"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rule:
        if isinstance(value, Rule):
            return value
        try:
            return Rule.parse(str(value))
        except InvalidArgument as error:
            self.fail(error.violations[0].description, param, ctx)


class FallbackStepText(click.ParamType):
    """`backup:v1@cpu`, `precomputed`, `stale:10m`, `constant:FILE.json`, `table:FILE.json`."""

    name = "step"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FallbackStep:
        if isinstance(value, FallbackStep):
            return value
        try:
            return FallbackStep.parse(str(value))
        except InvalidArgument as error:
            self.fail(error.violations[0].description, param, ctx)


class ExampleText(click.ParamType):
    """`user=ada country=DE`: user and entity are units, every other name an attribute."""

    name = "example"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Example:
        if isinstance(value, Example):
            return value
        try:
            words = shlex.split(str(value))
        except ValueError as error:
            self.fail(f"'{value}': {error}", param, ctx)
        pairs = dict(Pair().convert(word, param, ctx) for word in words)
        return Example(pairs.pop("user", ""), pairs.pop("entity", ""), pairs)


class Moment(click.ParamType):
    """`2031-02-03T04:05:06Z`, `2031-02-03 04:05` in local time, or `2h`: so long ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            ago = parse_duration(str(value))
            if ago is not None:
                return datetime.now(UTC) - ago
            return datetime.fromisoformat(str(value)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"'{value}' is no time; write 2031-02-03T04:05:06Z, '2031-02-03 04:05' in local time, or 2h (ago)",
                param,
                ctx,
            )


class Gate(click.ParamType):
    """`accuracy>=0.9`, `accuracy>=production-0.01`, `latency_p99_ms<=1.2*production`, with `@measured` behind it."""

    name = "gate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> registry_pb2.PromotionGate:
        if isinstance(value, registry_pb2.PromotionGate):
            return value
        match = _GATE.fullmatch("".join(str(value).split()))
        if match is None:
            self.fail(
                f"'{value}' is no gate; write accuracy>=0.9, accuracy>=production-0.01 or "
                "latency_p99_ms<=1.2*production, @measured behind it",
                param,
                ctx,
            )
        side = "minimum" if match[2] == ">=" else "maximum"
        kind, text = _bound(match[3])
        bound = _finite(self, text, f"'{value}': the bound is no number", param, ctx)
        gate = registry_pb2.PromotionGate(metric=match[1], measured_only=match[4] is not None)
        setattr(gate, side + kind, bound)
        return gate


def _bound(text: str) -> tuple[str, str]:
    """Return what a bound is relative to production (`_delta`, `_ratio`, or empty for a number) and its number."""
    delta, ratio = _DELTA.fullmatch(text), _RATIO.fullmatch(text)
    if delta is not None:
        return "_delta", delta[1] or "0"
    if ratio is not None:
        return "_ratio", ratio[1] or ratio[2]
    return "", text


def _finite(
    kind: click.ParamType, text: str, message: str, param: click.Parameter | None, ctx: click.Context | None
) -> float:
    try:
        number = float(text)
    except ValueError:
        kind.fail(message, param, ctx)
    if not math.isfinite(number):
        kind.fail(message, param, ctx)
    return number
