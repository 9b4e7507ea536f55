"""What to do about an error is a sentence that reads well at a terminal and in a browser, and names what there is."""

import re
from typing import Any

import grpc
import pytest
from headrace_client import NotFound, PreconditionFailed, Unavailable, parts, remedies
from headrace_client.cli.options import spoken_of
from headrace_client.errors import FieldViolation, HeadraceError
from headrace_client.remedies import remedy

from tests.kit.clients import typed_commands
from tests.kit.rows import each

EVERY = sorted(remedies._BY_REASON.items())
TYPED = re.compile(r"`([^`]*)`")
COMMANDS = sorted({found for _, told in EVERY for found in TYPED.findall(told) if found.startswith("headrace ")})


@each("command", COMMANDS)
def test_every_command_that_a_remedy_names_is_one_of_the_command_line(command: str) -> None:
    typed_commands.check(command, whole=False)


@each("reason,told", EVERY)
def test_a_remedy_marks_what_is_typed_and_does_not_take_its_reader_for_one_at_a_terminal(
    reason: str, told: str
) -> None:
    assert told.count("`") % 2 == 0, reason
    prose = TYPED.sub("", told)
    assert not re.search(r"(?<!\w)--\w|\bheadrace [a-z]", prose), "what is typed stands between backticks"
    assert not re.search(r"(run|repeat) the command\b", prose), "there is none in a browser"


def test_the_model_and_the_job_that_were_spoken_of_stand_in_the_command() -> None:
    over = PreconditionFailed("x", reason="SCORING_JOB_OVER")
    assert remedy(over, "digits", "7") == "`headrace jobs history digits/7` says how it ended; submit another one"
    assert "digits/ID" in remedy(over, "digits")
    assert "`headrace models show fraud`" in remedy(
        NotFound("x", reason="VERSION_NOT_FOUND", metadata={"model": "fraud"})
    )


def test_a_command_of_a_part_that_is_not_installed_says_how_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    over, refused = NotFound("x", reason="ROLLOUT_OVER"), PreconditionFailed("x", reason="APPROVER_IS_AUTHOR")
    approval = PreconditionFailed("x", reason="APPROVAL_REQUIRED")
    assert "pip install" not in remedy(over) + remedy(approval)
    monkeypatch.setattr(parts, "entry_points", lambda group: ())
    assert remedy(over).endswith("; 'rollouts' belongs to the part release: pip install 'headrace-client[release]'")
    assert "'break-glass' belongs to the part release" in remedy(approval)
    assert "pip install" not in remedy(refused), "it names no command"
    assert "pip install" not in remedy(NotFound("x", reason="MODEL_NOT_FOUND")), "the core has its command"


def test_what_keeps_a_member_is_named_by_what_holds_it() -> None:
    held = PreconditionFailed("x", reason="VERSION_IN_USE", metadata={"holder": "pipelines/whole/p1"})
    assert "`headrace models promote whole p1 --to archived`" in remedy(held, "digits", version="v1")


@pytest.mark.parametrize(
    ("params", "model", "job", "version"),
    [
        ({"model": "digits", "version": "v2"}, "digits", "", "v2"),
        ({"model": "digits@v2"}, "digits", "", ""),
        ({"rollout": "digits/7"}, "digits", "", ""),
        ({"job": "digits/7", "model": None}, "digits", "7", ""),
        ({"schedule": "digits/nightly"}, "digits", "", ""),
        ({"folder": "x"}, "", "", ""),
    ],
)
def test_a_command_says_what_its_errors_are_about(params: dict[str, Any], model: str, job: str, version: str) -> None:
    assert spoken_of(params) == {"model": model, "job": job, "version": version}


def test_a_name_that_somebody_made_up_puts_no_command_of_theirs_into_a_remedy() -> None:
    assert "headrace models show 'x;id' lists" in remedy(NotFound("x", reason="VERSION_NOT_FOUND"), "x;id").replace(
        "`", ""
    )


def test_a_reason_that_nobody_knows_has_no_remedy_but_that_something_is_away() -> None:
    unknown = HeadraceError("x", reason="NEVER_HEARD_OF")
    assert remedy(unknown) == ""
    assert "`headrace status`" in remedy(Unavailable("x", reason="NEVER_HEARD_OF"))
    assert unknown.code is grpc.StatusCode.UNKNOWN


def test_a_version_without_a_game_day_is_told_the_command_that_holds_one() -> None:
    missing = PreconditionFailed(
        "x",
        reason="PROMOTION_GATE_FAILED",
        violations=[
            FieldViolation("gates.game_day", "game_day must be >= 1, and the version has no measured game_day")
        ],
        metadata={"version": "v2", "missing": ""},
    )
    (command, *_) = TYPED.findall(remedy(missing, "digits"))
    assert command == "headrace game-day digits@v2"
    typed_commands.check(command, whole=False)
