"""An error becomes a block with what, which field and the remedy, and an exit code that says which kind."""

import re
from pathlib import Path

import click
import grpc
import pytest
from click.testing import CliRunner
from headrace_client import (
    Aborted,
    FieldViolation,
    HeadraceError,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    ResourceExhausted,
    Unavailable,
)
from headrace_client.cli import main
from headrace_client.cli.failures import as_block, as_json, exit_code, remedy
from headrace_client.cli.options import model_argument, reporting
from headrace_client.cli.output import Output
from rich.console import Console

from tests.kit.rows import each

PROTOS = Path(__file__).resolve().parents[3] / "protos" / "headrace"


def plain(markup: str) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        console.print(markup)
    return captured.get()


def test_a_block_says_what_why_which_field_and_the_remedy() -> None:
    error = PreconditionFailed(
        "version v2 of 'digits' misses 1 gate",
        reason="PROMOTION_GATE_FAILED",
        violations=[FieldViolation("gates.accuracy", "0.71 is below 0.85 [bold]")],
    )
    shown = plain(as_block(error, "headrace models promote", "digits"))
    assert shown.splitlines() == [
        "error headrace models promote: version v2 of 'digits' misses 1 gate",
        "  reason  PROMOTION_GATE_FAILED (FAILED_PRECONDITION)",
        "  field   gates.accuracy: 0.71 is below 0.85 [bold]",
        "  remedy  register a version that passes, or change the gates: `headrace models gates digits --set GATE`",
    ]


def test_a_version_without_metrics_is_answered_with_what_to_type() -> None:
    error = PreconditionFailed(
        "version 'v1' of 'fraud' misses 2 promotion gate(s)",
        reason="PROMOTION_GATE_FAILED",
        metadata={"version": "v1", "missing": "accuracy,latency_p99_ms"},
    )
    lines = [line.strip() for line in plain(as_block(error, "headrace models promote", "fraud")).splitlines()]
    given = "--metric accuracy=VALUE --metric latency_p99_ms=VALUE"
    assert f"headrace models register fraud NEW_VERSION MODEL.onnx {given}" in lines
    assert lines[-2:] == ["headrace models gates fraud --none", "headrace models promote fraud v1"]


def test_what_the_message_says_is_not_said_again() -> None:
    error = PreconditionFailed(
        "version v2 misses 2 gates: accuracy is 0.71; auc is 0.5",
        violations=[FieldViolation("gates.accuracy", "accuracy is 0.71"), FieldViolation("gates.auc", "auc is 0.5")],
    )
    lines = [line.strip() for line in plain(as_block(error, "headrace models promote")).splitlines()]
    assert [line for line in lines if line.startswith("field")] == ["field   gates.accuracy", "field   gates.auc"]
    assert str(error) == "FAILED_PRECONDITION: version v2 misses 2 gates: accuracy is 0.71; auc is 0.5"


@each(
    "error,code",
    [
        (InvalidArgument("x"), 2),
        (NotFound("x"), 3),
        (PreconditionFailed("x"), 4),
        (Aborted("x"), 4),
        (Unavailable("x"), 5),
        (ResourceExhausted("x"), 5),
        (PermissionDenied("x"), 6),
        (Internal("x"), 1),
    ],
)
def test_the_exit_code_says_which_kind_of_failure(error: HeadraceError, code: int) -> None:
    assert exit_code(error) == code


def test_a_remedy_names_the_model_that_the_server_named() -> None:
    error = NotFound("x", reason="VERSION_NOT_FOUND", metadata={"model": "digits"})
    assert "headrace models show digits" in remedy(error)


def test_a_remedy_names_the_model_of_the_command_where_the_server_named_none() -> None:
    error = NotFound("x", reason="VERSION_NOT_FOUND")
    assert "headrace models show digits" in remedy(error, "digits")
    assert "headrace models show digits" in as_json(error, "digits")["error"]["remedy"]

    @click.command()
    @model_argument
    @reporting
    def split(output: Output, model: str) -> None:
        raise error

    assert "headrace models show digits" in CliRunner().invoke(split, ["digits"]).output


def test_a_model_that_nothing_serves_is_told_with_the_command_that_promotes() -> None:
    error = Unavailable("x", reason="MODEL_NOT_READY", metadata={"model": "digits"})
    assert "`headrace models promote digits VERSION`" in remedy(error)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("models gates digits accuracy>=0.4", "headrace models gates digits --set 'accuracy>=0.4'"),
        ("gates digits accuracy>=0.4", "there is `headrace models gates`"),
        ("split digits v1=1", "there is `headrace routes split`"),
        ("list", "`headrace models list`"),
    ],
)
def test_a_command_line_that_is_nearly_right_is_refused_with_the_right_one(line: str, told: str) -> None:
    refused = CliRunner().invoke(main, line.split())
    assert refused.exit_code == 2
    assert told in " ".join(refused.output.split())


def test_the_json_document_has_everything_that_the_block_has() -> None:
    error = NotFound("model 'digits' not found", reason="MODEL_NOT_FOUND", violations=[FieldViolation("name", "gone")])
    document = as_json(error)["error"]
    assert (document["code"], document["reason"]) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert document["violations"] == [{"field": "name", "description": "gone"}]
    assert document["remedy"]


# What explanations and degraded answers say of themselves: nothing failed.
NO_ERRORS = {"MODE_ONLINE", "NOT_AWAITED", "NO_ENTITY", "STEPS_MISSING", "TIME_SHORT", "TOO_LARGE", "TOO_OLD"}
NO_ERRORS |= {"FIRST_REQUEST"}
# Values and settings that comments name.
NO_ERRORS |= {"FORMAT_CLOUD_EVENT", "FORMAT_PAGERDUTY", "FORMAT_SLACK", "ROLLOUT_WEBHOOK_ALLOW"}
NO_ERRORS |= {"ENGINE_POOL", "ENGINE_WORKERS", "SCORER_WEBHOOK_ALLOW"}
# Rules of the linter that comments suspend.
NO_ERRORS |= {"RPC_RESPONSE_STANDARD_NAME"}
NO_ERRORS |= {"REGISTRY_ALLOW_CODE", "TYPE_PYTHON", "TYPE_REQUIREMENTS"}
# Errors of a model at its rows, which a job tells in words.
NO_ERRORS |= {"MODEL_FAILED", "PARITY_UNKNOWN"}


@each(
    "file",
    [
        *("registry/v1/registry.proto", "router/v1/route.proto", "router/v1/predict.proto"),
        *("router/v1/precomputed.proto", "rollout/v1/rollout.proto", "scorer/v1/scorer.proto"),
        *("scorer/v1/publications.proto", "scorer/v1/schedules.proto"),
    ],
)
def test_every_reason_that_an_api_promises_has_a_remedy(file: str) -> None:
    comments = "\n".join(re.findall(r"//(?! buf:).*", (PROTOS / file).read_text()))
    promised = (
        set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", comments)) - {code.name for code in grpc.StatusCode} - NO_ERRORS
    )
    assert promised, "the comments of the API name their reasons"
    without = [reason for reason in sorted(promised) if not remedy(HeadraceError("x", reason=reason))]
    assert without == []
