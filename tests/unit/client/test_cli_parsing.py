"""What people type becomes values, or an error that says how to type it."""

import re
from datetime import UTC, datetime, timedelta

import click
import pytest
from headrace_client.cli.parsing import Duration, Gate, Moment, NumberPair, Pair, VariantShare
from headrace_client.cli.views import gate as gate_text
from headrace_client.operations.routes import Alias, Production, Variant, Version


@pytest.mark.parametrize(("text", "seconds"), [("5ms", 0.005), ("1.5s", 1.5), ("15m", 900), ("1h", 3600)])
def test_durations_have_a_unit(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("v1=90", Variant("v1", Version("v1"), 90)),
        ("production=9.5", Variant("production", Production(), 9.5)),
        ("@champion=1", Variant("champion", Alias("champion"), 1)),
        ("stable:production=90", Variant("stable", Production(), 90)),
        ("challenger:v2=10", Variant("challenger", Version("v2"), 10)),
        ("blue:@champion=0", Variant("blue", Alias("champion"), 0)),
    ],
)
def test_variants_name_a_version_or_follow_production_or_an_alias(text: str, variant: Variant) -> None:
    assert VariantShare().convert(text, None, None) == variant


def test_a_variant_says_on_the_wire_what_it_serves() -> None:
    sent = [VariantShare().convert(text, None, None).to_proto() for text in ("v1=1", "production=1", "@a=1")]
    assert [message.WhichOneof("serves") for message in sent] == ["version", "follow_production", "follow_alias"]


@pytest.mark.parametrize(
    "text",
    [
        "accuracy>=0.9",
        "latency_p99_ms<=50",
        "accuracy>=0.9@measured",
        "accuracy>=production-0.01",
        "accuracy>=production",
        "latency_p99_ms<=production+5@measured",
        "latency_p99_ms<=1.2*production",
    ],
)
def test_gates_are_shown_as_they_are_typed(text: str) -> None:
    assert gate_text(Gate().convert(text, None, None)) == text


@pytest.mark.parametrize(
    ("text", "bound", "value"),
    [
        ("a >= production - 0.01", "minimum_delta", -0.01),
        ("a <= production + 2", "maximum_delta", 2.0),
        ("a<=production*1.2", "maximum_ratio", 1.2),
        ("a>=0.9 * production", "minimum_ratio", 0.9),
    ],
)
def test_gates_may_be_relative_to_production(text: str, bound: str, value: float) -> None:
    gate = Gate().convert(text, None, None)
    assert (gate.WhichOneof("bound"), getattr(gate, bound)) == (bound, value)


def test_times_have_a_zone_are_local_or_so_long_ago() -> None:
    exact = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert Moment().convert("2026-02-03T04:05:06Z", None, None) == exact
    assert Moment().convert("2026-02-03T05:05:06+01:00", None, None) == exact
    assert Moment().convert("2026-02-03 04:05", None, None) == datetime(2026, 2, 3, 4, 5).astimezone()
    before = datetime.now(UTC)
    ago = Moment().convert("2d", None, None)
    assert before <= ago + timedelta(days=2) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Duration(), "5"), (Duration(), "five minutes"),
        (Pair(), "name"), (Pair(), "=value"),
        (NumberPair(), "accuracy=high"), (NumberPair(), "accuracy=nan"),
        (VariantShare(), "v1"), (VariantShare(), "v1=much"), (VariantShare(), "v1=-1"), (VariantShare(), ":v1=1"),
        (VariantShare(), "a:=1"), (VariantShare(), "v1=inf"),
        (Gate(), "accuracy"), (Gate(), "accuracy==1"), (Gate(), "accuracy>=x"),
        (Gate(), "accuracy>=production*x"), (Gate(), "accuracy>=production/2"), (Gate(), "accuracy>=production-"),
        (Moment(), "yesterday"), (Moment(), "2026-13-01"),
    ],
)  # fmt: skip
def test_a_typo_is_refused_with_what_was_typed(kind: click.ParamType, text: str) -> None:
    with pytest.raises(click.BadParameter, match=re.escape(f"'{text}'")):
        kind.convert(text, None, None)
