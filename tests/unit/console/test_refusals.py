"""A refusal says what to do about it, with the names of the page where it happened."""

import pytest
from headrace_client import Aborted, HeadraceError, InvalidArgument, NotFound, PermissionDenied, PreconditionFailed
from headrace_console.pages.markup import environment
from headrace_console.pages.refusals import remedy_of, status_of

REFUSAL = environment().from_string("{% import 'parts.html' as parts %}{{ parts.refusal(problem, remedy) }}")


def refusal(problem: HeadraceError, **named: str) -> str:
    return REFUSAL.render(problem=problem, remedy=remedy_of(problem, named))


def test_a_refusal_says_which_command_helps_with_the_model_of_the_page():
    shown = refusal(PreconditionFailed("a rollout runs", reason="ROLLOUT_RUNNING"), model="digits")
    assert "<p>a rollout runs</p>" in shown
    assert "Remedy: <code>headrace rollouts watch digits</code> shows it" in shown
    assert "MODEL" not in shown


def test_a_version_without_metrics_is_answered_with_commands_to_copy():
    problem = PreconditionFailed(
        "misses a gate", reason="PROMOTION_GATE_FAILED", metadata={"version": "v1", "missing": "accuracy"}
    )
    shown = refusal(problem, model="fraud")
    for command in (
        "headrace models register fraud NEW_VERSION MODEL.onnx --metric accuracy=VALUE",
        "headrace models gates fraud --none",
        "headrace models promote fraud v1",
    ):
        assert f"<code>{command}</code>" in shown


@pytest.mark.parametrize(
    ("problem", "status", "told"),
    [
        (Aborted("x", reason="ETAG_MISMATCH"), 409, "read it again"),
        (PermissionDenied("x"), 403, "Ask a person"),
        (NotFound("x", reason="NEVER_HEARD_OF"), 404, "Look for it on the first page"),
        (InvalidArgument("x"), 400, ""),
        (HeadraceError("x"), 502, ""),
    ],
)
def test_what_no_reason_tells_is_told_by_the_kind_of_error_and_never_of_a_terminal(
    problem: HeadraceError, status: int, told: str
):
    assert status_of(problem) == status
    assert remedy_of(problem, {}) == told or (told and told in remedy_of(problem, {}))
    assert "--" not in remedy_of(problem, {})


def test_what_others_wrote_is_no_markup_in_a_remedy():
    assert "&lt;zz9&gt;" in refusal(NotFound("x", reason="VERSION_NOT_FOUND"), model="<zz9>")
    assert "<zz9>" not in refusal(NotFound("x", reason="VERSION_NOT_FOUND"), model="<zz9>")
