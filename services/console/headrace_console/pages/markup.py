"""Templates and how values are written in them: times, numbers with units, words of enums. Every text is escaped."""

from __future__ import annotations

import functools
import hashlib
import math
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from headrace.scorer.v1 import scorer_pb2
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from headrace_console import bars, charts
from headrace_console.figures import explained, number, percent

# Signals and measures that are shares of one.
_SHARES = frozenset(("accuracy", "conversion_rate", "error_rate", "error_rate_change", "estimated_accuracy"))
# Of metrics that rollouts are judged by.
_BAD_ANSWERS = {
    "errors": "errors",
    "timeouts": "missed deadlines",
    "slo": "slower than the latency target",
    "slower_p90": "slower than nine in ten of the baseline",
    "slower_median": "slower than half of the baseline",
    "invalid_outputs": "values outside the contract",
}
_SIGNALS = {
    "error_rate": "share of failed answers",
    "error_rate_change": "rise of wrong answers",
    "latency_p99_us": "p99 of the time to answer",
    "dropped_predictions": "predictions missing in the log",
    "lost_batches": "batches missing in the log",
}
_DIGEST = re.compile("[0-9a-f]{16,}")
# Commands in a remedy: between backticks, or on a separate line.
_TYPED = re.compile(r"`(?P<within>[^`]+)`|^ +(?P<line>headrace .+)$", re.MULTILINE)
STATIC = Path(__file__).parents[1] / "static"


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """Return a template with its values."""
    return environment().get_template(template).render(context)


@functools.cache
def environment() -> Environment:
    """Return the templates. A name that a page does not give is an error, and no text is markup."""
    made = Environment(
        loader=PackageLoader("headrace_console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": ago,
        "bad_answers": bad_answers,
        "reads": reads,
        "bytes": size,
        "commands": commands,
        "exact": exact,
        "explained": explained,
        "hours": hours,
        "id": last,
        "measured": measured,
        "micros": micros,
        "model": model_of,
        "number": number,
        "percent": percent,
        "seconds": seconds,
        "short": short,
        "signal": signal,
        "time": time,
        "typed": shlex.quote,
        "word": word,
    }
    made.globals |= {"asset": asset, "bars": bars, "charts": charts, "stylesheet": stylesheet}
    return made


@functools.cache
def asset(name: str) -> str:
    """Return the address of a file of ours; another content has another address."""
    return f"/console/static/{name}?{hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


@functools.cache
def stylesheet() -> Markup:
    """Return our style sheet, for pages that need no other file."""
    return Markup((STATIC / "console.css").read_text(encoding="utf-8"))


def moment(stamp: Timestamp | datetime | None) -> datetime | None:
    """Return a time; None for one that is not set. One without a zone is in UTC, wherever this machine stands."""
    if isinstance(stamp, Timestamp):
        return stamp.ToDatetime(UTC) if stamp.ByteSize() else None
    return stamp.replace(tzinfo=UTC) if stamp is not None and stamp.tzinfo is None else stamp


def time(stamp: Timestamp | datetime | None, *, seconds: bool = False) -> Markup:
    """Return a time in UTC, to the minute or second, which a script turns into the reader's zone; a dash for none."""
    at = moment(stamp)
    if at is None:
        return Markup('<span class="none">–</span>')
    utc = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}Z" title="{} UTC"{}>{}<span class="zone"> UTC</span></time>').format(
        utc.replace(" ", "T"), utc, Markup(" data-seconds") if seconds else "", utc if seconds else utc[:16]
    )


def ago(stamp: Timestamp | datetime | None, now: datetime) -> Markup:
    """Return how long ago something was, with its time on hover."""
    at = moment(stamp)
    if at is None:
        return Markup('<span class="none">–</span>')
    utc = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}Z" title="{} UTC" data-ago>{}</time>').format(
        utc.replace(" ", "T"), utc, age((now - at).total_seconds())
    )


def age(passed_s: float) -> str:
    """Return a length of time in its largest unit.

    >>> age(90), age(7200), age(-3)
    ('1 min ago', '2 h ago', 'now')
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if passed_s >= length:
            return f"{int(passed_s // length)} {unit} ago"
    return "now"


def bad_answers(metric: str) -> str:
    """Return what answers a metric of a rollout counts as bad.

    >>> bad_answers("invalid_outputs"), bad_answers("clicks")
    ('values outside the contract', 'clicks')
    """
    return _BAD_ANSWERS.get(metric, metric)


def commands(sentence: str) -> Markup:
    """Return a sentence with what it says to type as code.

    >>> commands("see `headrace models list`, <b>")
    Markup('See <code>headrace models list</code>, &lt;b&gt;')
    """
    text, at = Markup(), 0
    for found in _TYPED.finditer(sentence := sentence[:1].upper() + sentence[1:]):
        typed = Markup("<code>{}</code>" if found["within"] else "<br><code>{}</code>").format(found[1] or found[2])
        text, at = text + sentence[at : found.start()] + typed, found.end()
    return text + sentence[at:]


def exact(value: float) -> str:
    """Return a number as text that parses to the same number.

    >>> exact(50.0), exact(12.5), exact(100 / 3)
    ('50', '12.5', '33.333333333333336')
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def hours(count: int) -> str:
    """Return a number of hours as it follows "the last".

    >>> hours(1), hours(24), hours(168), hours(720), hours(6)
    ('hour', 'day', 'week', '30 days', '6 hours')
    """
    return {1: "hour", 24: "day", 168: "week", 720: "30 days"}.get(count, f"{count} hours")


def micros(value: float | None) -> str:
    """Return microseconds in a unit that people read.

    >>> micros(250), micros(1500), micros(2_500_000)
    ('250 µs', '1.5 ms', '2.5 s')
    """
    return "–" if value is None else seconds(value / 1e6)


def measured(value: float, signal: str) -> str:
    """Return the value of a signal with the unit that its name says.

    >>> measured(12500, "latency_p99_us"), measured(0.02, "error_rate"), measured(3, "lost_batches")
    ('12.5 ms', '2 %', '3')
    """
    if signal.endswith("_us"):
        return micros(value)
    return percent(value) if signal in _SHARES else number(value)


def seconds(value: float | Duration | None) -> str:
    """Return seconds in a unit that people read.

    >>> seconds(0.0125), seconds(90), seconds(7200)
    ('12.5 ms', '1.5 min', '2 h')
    """
    if isinstance(value, Duration):
        value = value.ToTimedelta().total_seconds()
    if value is None or not math.isfinite(value):
        return "–"
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if abs(value) >= length:
            return f"{value / length:.3g} {unit}"
    return f"{value * 1e6:.3g} µs" if value else "0 s"


def size(value: int) -> str:
    """Return bytes in a unit that people read.

    >>> size(512), size(1_500_000)
    ('512 B', '1.5 MB')
    """
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= length:
            return f"{value / length:.3g} {unit}"
    return f"{value} B"


def last(name: str) -> str:
    """Return the id at the end of a resource name."""
    return name.rsplit("/", 1)[-1]


def model_of(name: str) -> str:
    """Return the model that a resource name begins with.

    >>> model_of("models/digits/rollouts/3"), model_of("pools/gpu")
    ('digits', '')
    """
    kind, _, rest = name.partition("/")
    return rest.partition("/")[0] if kind == "models" else ""


def reads(input_: scorer_pb2.ScoringSpec.Input) -> str:
    """Return the input of a scoring job: its URI, or the table or query of its source.

    >>> reads(scorer_pb2.ScoringSpec.Input(uri="s3://lake/day=1"))
    's3://lake/day=1'
    """
    source = input_.source
    return f"{source.table or source.query} of {source.source}" if input_.HasField("source") else input_.uri


def short(text: str) -> str:
    """Return the first 12 characters of a digest; any other text unchanged.

    >>> short("0156dd29fbc15aedbc1343d6e728bf708da135f2"), short("examples/digits/train.py")
    ('0156dd29fbc1…', 'examples/digits/train.py')
    """
    return f"{text[:12]}…" if _DIGEST.fullmatch(text) else text


def signal(name: str) -> str:
    """Return a signal or a measure as people say it.

    >>> signal("latency_p99_us"), signal("estimated_accuracy"), signal("error_rate")
    ('p99 of the time to answer', 'estimated accuracy', 'share of failed answers')
    """
    return _SIGNALS.get(name, name.replace("_", " "))


def word(message: Message, field: str) -> str:
    """Return the value of an enum field as a word; empty for an unset one."""
    kind = message.DESCRIPTOR.fields_by_name[field].enum_type
    assert kind is not None, f"{field} is no enum"
    value = kind.values_by_number.get(getattr(message, field))
    names = [one.name for one in kind.values]
    prefix = names[0].removesuffix("UNSPECIFIED")
    if value is None or value.number == 0:
        return ""
    return value.name.removeprefix(prefix).replace("_", " ").lower()
