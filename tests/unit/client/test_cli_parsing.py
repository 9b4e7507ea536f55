"""What people type becomes values, or an error that says how to type it."""

import re
from datetime import UTC, datetime, timedelta

import click
import pytest
from headrace_client.cli.values import Duration, Gate, Moment, NumberPair, Pair, VariantShare, shares
from headrace_client.cli.views import gate as gate_text
from headrace_client.operations.routes import Alias, Production, Variant, Version

from tests.kit.rows import each


@pytest.mark.parametrize(("text", "seconds"), [("5ms", 0.005), ("1.5s", 1.5), ("15m", 900), ("1h", 3600)])
def test_durations_have_a_unit(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == timedelta(seconds=seconds)


@each(
    "text,variant",
    [
        ("v1=90", Variant("v1", Version("v1"), 90)),
        ("production=9.5", Variant("production", Production(), 9.5)),
        ("@champion=1", Variant("champion", Alias("champion"), 1)),
        ("stable:production=90", Variant("stable", Production(), 90)),
        ("challenger:v2=10", Variant("challenger", Version("v2"), 10)),
        ("v2@staging=0", Variant("v2", Version("v2"), 0, "staging")),
        ("challenger:production@cpu=1", Variant("challenger", Production(), 1, "cpu")),
        ("@champion@cpu=5", Variant("champion", Alias("champion"), 5, "cpu")),
        ("blue:@champion=0", Variant("blue", Alias("champion"), 0)),
    ],
)
def test_variants_name_a_version_or_follow_production_or_an_alias(text: str, variant: Variant) -> None:
    assert VariantShare().convert(text, None, None) == variant


def variants(*weights: float) -> list[Variant]:
    return [Variant(f"v{number}", Version(f"v{number}"), weight) for number, weight in enumerate(weights, 1)]


@pytest.mark.parametrize("weights", [(100,), (90, 10), (33.3, 33.3, 33.4), (100, 0), (0.1,) * 1000, ()])
def test_shares_that_sum_to_100_stay_as_they_are(weights: tuple[float, ...]) -> None:
    for normalise in (False, True):
        assert shares(variants(*weights), normalise=normalise) == tuple(variants(*weights))


@pytest.mark.parametrize(("weights", "total"), [((50, 60), "110"), ((1,), "1"), ((33.3, 33.3, 33.3), "99.9")])
def test_shares_that_do_not_sum_to_100_are_refused_with_their_sum_or_scaled(
    weights: tuple[float, ...], total: str
) -> None:
    with pytest.raises(click.UsageError, match=f"sum to {total}, not 100.*--normalise"):
        shares(variants(*weights), normalise=False)
    scaled = shares(variants(*weights), normalise=True)
    assert sum(one.weight for one in scaled) == pytest.approx(100)
    assert [one.weight / scaled[0].weight for one in scaled] == pytest.approx([one / weights[0] for one in weights])


@pytest.mark.parametrize("normalise", [False, True])
def test_shares_of_nothing_are_refused(normalise: bool) -> None:
    with pytest.raises(click.UsageError, match="sum to 0"):
        shares(variants(0, 0), normalise=normalise)


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


@each("kind,text", [
        (Duration(), "5"), (Duration(), "five minutes"),
        (Pair(), "name"), (Pair(), "=value"),
        (NumberPair(), "accuracy=high"), (NumberPair(), "accuracy=nan"),
        (VariantShare(), "v1"), (VariantShare(), "v1=much"), (VariantShare(), "v1=-1"), (VariantShare(), ":v1=1"),
        (VariantShare(), "a:=1"), (VariantShare(), "v1@=1"), (VariantShare(), "@=1"),
        (VariantShare(), "@@cpu=1"), (VariantShare(), "v1=inf"),
        (Gate(), "accuracy"), (Gate(), "accuracy==1"), (Gate(), "accuracy>=x"),
        (Gate(), "accuracy>=production*x"), (Gate(), "accuracy>=production/2"), (Gate(), "accuracy>=production-"),
        (Moment(), "yesterday"), (Moment(), "2026-13-01"),
    ])  # fmt: skip
def test_a_typo_is_refused_with_what_was_typed(kind: click.ParamType, text: str) -> None:
    with pytest.raises(click.BadParameter, match=re.escape(f"'{text}'")):
        kind.convert(text, None, None)
