"""Every refusal that a service can give has a way out that is printed, or has none on purpose."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import grpc
from headrace_client import remedies
from headrace_client.cli import failures
from headrace_client.errors import HeadraceError
from headrace_client.parts import PARTS
from headrace_servicekit import errors

ROOT = Path(__file__).parents[3]
CALLERS = ("libs/client", *(f"libs/{part}" for part in PARTS))
RAISING = ("services", "libs/servicekit", "libs/runtime", *CALLERS)
# Functions that raise or return an error of one kind.
FUNCTIONS = {"refuse": errors.InvalidArgument, "invalid": errors.InvalidArgument}

ON_PURPOSE = {
    # Between services: no caller from outside meets them.
    "CURSOR_EXPIRED": "the rollout service reads from the beginning again",
    "INCARNATION_MISMATCH": "a data plane begins anew by itself",
    "LEASE_LOST": "another replica leads, and does it",
    "MOVED_BY_HAND": "a rollout fails of it, and says so in its history",
    "NOT_LEADING": "another replica leads, and does it",
    # What would help is in the message, or there is nothing that would.
    "METHOD_UNKNOWN": "the caller's stubs are of another release, or its path is wrong",
    "PATH_NOT_FOUND": "the message names the path that was asked for",
    "SERVICE_NOT_FOUND": "asked by health checks, with a name of their own",
}


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in the code. raised: kinds of errors, each with a reason that it is given. words: of capitals."""

    raised: frozenset[tuple[type[errors.ServiceError], str]]
    words: frozenset[str]


@cache
def written() -> Written:
    """Return what stands in the code of the services and of what they share; words also in that of clients."""
    raised, words = set[tuple[type[errors.ServiceError], str]](), set[str]()
    for base in RAISING:
        for file in (ROOT / base).rglob("*.py"):
            if "stubs" in file.parts or file.name == "remedies.py":
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and base not in CALLERS:
                    raised.update(raised_by(node))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isupper():
                    words.add(node.value)
    return Written(frozenset(raised), frozenset(words))


def raised_by(node: ast.Call) -> Iterator[tuple[type[errors.ServiceError], str]]:
    """Yield what a call makes, where that is an error, with its reasons that are written out."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    kind = FUNCTIONS.get(name) or getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.ServiceError)):
        return
    for keyword in node.keywords:
        for one in ast.walk(keyword.value) if keyword.arg == "reason" else ():
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value:
                yield kind, one.value


def way_out(kind: type[errors.ServiceError], reason: str) -> str:
    """Return what the command line prints for an error."""
    code = grpc.StatusCode[kind.code.name]
    received = next((one for one in HeadraceError.__subclasses__() if one.code is code), HeadraceError)
    return failures.remedy(received("what failed", reason=reason), "digits")


def test_the_errors_of_the_services_are_found():
    reasons = {reason for _, reason in written().raised}
    assert len(reasons) > 200
    assert {"ROLLOUT_RUNNING", "MODEL_IN_USE", "QUERY_INVALID", "TRAFFIC_FROZEN"} <= reasons


def test_every_refusal_has_a_way_out_or_has_none_on_purpose():
    lost = {reason for kind, reason in written().raised if not way_out(kind, reason)}
    assert lost - ON_PURPOSE.keys() == set(), "give them a remedy in headrace_client/remedies.py"
    assert ON_PURPOSE.keys() - lost == set(), "they have a way out, or nothing raises them any more"


def test_a_remedy_is_for_a_reason_that_something_gives():
    # Of a pool of places there are two reasons: all are taken, or one client has its share of them.
    given = {reason for word in written().words for reason in (word, f"{word}_OF_CLIENT")}
    assert remedies._BY_REASON.keys() - given == set(), "nothing gives these reasons any more"
