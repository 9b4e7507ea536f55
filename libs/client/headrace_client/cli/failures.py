"""Errors as people and scripts read them: a block that says what, which field and the remedy; an exit code per kind."""

from __future__ import annotations

from typing import Any

import grpc

from headrace_client import remedies
from headrace_client.cli.output import shown
from headrace_client.errors import HeadraceError

FAILED = 1
WRONG_REQUEST = 2
NOT_FOUND = 3
REFUSED = 4
UNAVAILABLE = 5
NOT_ALLOWED = 6
NOT_SERVING = 7

EXIT_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: WRONG_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: WRONG_REQUEST,
    grpc.StatusCode.NOT_FOUND: NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION: REFUSED,
    grpc.StatusCode.ALREADY_EXISTS: REFUSED,
    grpc.StatusCode.ABORTED: REFUSED,
    grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: UNAVAILABLE,
    grpc.StatusCode.UNAUTHENTICATED: NOT_ALLOWED,
    grpc.StatusCode.PERMISSION_DENIED: NOT_ALLOWED,
}

EXIT_CODE_HELP = """\
Exit codes: 0 done; 1 failed inside; 2 the command or the request is wrong; 3 not found; 4 refused (a gate, a conflict,
an existing name); 5 unavailable, overloaded or too late; 6 no token, or not allowed; 7 promoted, not serving."""

# Where no reason says more.
_REMEDIES_BY_CODE = {
    grpc.StatusCode.UNAUTHENTICATED: "give a valid token: --token-file, HEADRACE_TOKEN, or run the "
    "`headrace` of a checkout whose stack is up; tokens live at most 15 minutes",
    grpc.StatusCode.PERMISSION_DENIED: "ask for a token that lists the scope; `headrace token --help` names the scopes",
    grpc.StatusCode.UNAVAILABLE: "is it running, and is the address right? --address or HEADRACE_ADDRESS; `make up` "
    "starts a local stack",
    grpc.StatusCode.DEADLINE_EXCEEDED: "give it more time with --timeout, or see with `headrace status` what is slow",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "send less, or later",
    grpc.StatusCode.INVALID_ARGUMENT: "correct the field that is named; --help shows examples",
    grpc.StatusCode.INTERNAL: "a defect of the server: its log has the cause",
}


def exit_code(error: HeadraceError) -> int:
    """Return the exit code of a failed command."""
    return EXIT_CODES.get(error.code, FAILED)


def remedy(error: HeadraceError, model: str = "", job: str = "", version: str = "") -> str:
    """Return what to do about it, in a sentence; empty when nothing is known. The names: as in `remedies.remedy`."""
    return remedies.remedy(error, model, job, version) or _REMEDIES_BY_CODE.get(error.code, "")


def as_json(error: HeadraceError, model: str = "", job: str = "", version: str = "") -> dict[str, Any]:
    """Return the error as the document that `--json` prints. model and more: as in `remedy`."""
    return {
        "error": {
            "code": error.code.name,
            "reason": error.reason,
            "message": error.message,
            "violations": [{"field": v.field, "description": v.description} for v in error.violations],
            "metadata": error.metadata,
            "remedy": remedy(error, model, job, version),
        }
    }


def as_block(error: HeadraceError, doing: str, model: str = "", job: str = "", version: str = "") -> str:
    """Return the error as rich markup: what failed, why, each field, and the remedy.

    doing: the command, in words. model and more: as in `remedy`.
    """
    name = (
        f"{error.reason} ({error.code.name})" if error.reason and error.reason != error.code.name else error.code.name
    )
    lines = [f"[bold red]error[/] {as_markup(doing)}: {as_markup(error.message)}", f"  [dim]reason[/]  {name}"]
    for violation in error.violations:
        if error.message == f"{violation.field}: {violation.description}":
            continue  # said already
        field = f"[bold]{as_markup(violation.field)}[/]" if violation.field else ""
        # What the message says is not said again; which field it is about, is.
        description = "" if field and violation.description in error.message else as_markup(violation.description)
        lines.append("  [dim]field [/]  " + ": ".join(part for part in (field, description) if part))
    if error.request_id:
        lines.append(f"  [dim]request[/] {as_markup(error.request_id)}")
    if text := remedy(error, model, job, version):
        lines.append(f"  [dim]remedy[/]  {as_markup(text)}")
    return "\n".join(lines)


def as_markup(text: str) -> str:
    """Return text of several lines as rich markup."""
    return "\n".join(map(shown, text.split("\n")))
