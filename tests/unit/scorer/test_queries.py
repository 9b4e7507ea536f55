"""Databases that do not answer: why is told, and not where they are or with what they are asked."""

from __future__ import annotations

import pytest
from headrace_scorer.decisions.specs import Location, Source, Spec
from headrace_scorer.engine.messages import Access, PlanOrder, SourceAccess, Work
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.sources import postgresql

from tests.kit.rows import each


def order_of(uri: str) -> PlanOrder:
    spec = Spec(Location("", ""), source=Source("warehouse", query="select 1"))
    access = Access("http://127.0.0.1:1", "us-east-1", None, "headrace")
    work = Work("models/churn/scoringJobs/1", spec, "", "", Location("", ""), access)
    return PlanOrder(work, whole=True, max_objects=1, source=SourceAccess("postgresql", uri=uri))


@each(
    "where,why",
    [
        ("ada:secret@127.0.0.1:1/x", "Connection refused"),
        ("ada:secret@nowhere.invalid/x", "could not translate host name"),
        ("ada:secret@127.0.0.1:secret/x", "invalid integer value"),
        ("ada:se%ret@127.0.0.1/x", "invalid percent-encoded token"),
        ('ada:a"b"secret%zz@127.0.0.1/x', "invalid percent-encoded token"),
        ('ada:a"secret%zz@127.0.0.1/x', "invalid percent-encoded token"),
        ('ada:a"secret\nsecret%zz@127.0.0.1/x', "invalid percent-encoded token"),
        ("ada:failed: secret@127.0.0.1/x", "unexpected spaces found"),
        ("ada:secret@127.0.0.1:1/x?pass=secret", "invalid URI query parameter"),
        ("/x?host=/nowhere&password=secret", "No such file or directory"),
        ("ada:secret@127.0.0.1:1/x?sslmode=secret", "invalid sslmode value"),
    ],
)
def test_why_a_database_is_not_reached_is_told_without_its_password(where: str, why: str):
    with pytest.raises(Failed, match=why) as failed:
        postgresql.schema(order_of(f"postgresql://{where}"))
    assert (failed.value.failure, failed.value.transient) == ("SOURCE_UNAVAILABLE", True)
    assert not [word for word in ("ada", "secret", "se%ret", "127.0.0.1", "nowhere") if word in failed.value.reason]


def test_of_what_a_server_says_names_are_left_out():
    said = 'IO: [libpq] Failed to connect: connection to server at "db", port 5432 failed: FATAL:  password ' + (
        'authentication failed for user "ada"\nconnection to server at "db" failed: FATAL: no'
    )
    assert postgresql._why(Exception(said), "") == 'FATAL:  password authentication failed for user "…"'
    german = 'connection to server at "db" (::1), port 1 failed: FATAL:  Benutzer »ada« ist kein »x«, ohne Passwort'
    assert postgresql._why(Exception(german), "") == 'FATAL:  Benutzer "…", ohne Passwort'
    assert postgresql._why(Exception(said), "53300").startswith("53300: FATAL")
    assert postgresql._why(Exception("cannot use postgresql://ada:secret@db"), "") == "Exception"
    assert postgresql._why(Exception(""), "") == "Exception"
