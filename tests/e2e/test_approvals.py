"""Promotions that others must agree to, through the front door of the whole stack: command line, REST and rollouts."""

from __future__ import annotations

import pytest
from headrace.registry.v1 import approval_pb2 as pb
from headrace_client.client import Client
from headrace_client.errors import PermissionDenied, PreconditionFailed
from headrace_servicekit.testing import eventually

from tests.kit.clients.headrace_cli import Headrace
from tests.kit.monitor.alerting import SECRET
from tests.kit.stack.running import RECEIVERS
from tests.kit.stack.served_models import Served

State = pb.PromotionRequest
Words = tuple[str, ...]


def person(served: Served, subject: str, *scopes: str) -> Client:
    """Return the client of somebody; with every scope unless some are named."""
    token = served.stack.token(subject, scopes=scopes or None)
    return Client(served.stack.address, token=token)


def test_the_command_line_asks_and_others_agree(headrace: Headrace, served: Served):
    headrace.two_versions("v1")
    model = headrace.model
    kept = headrace("models", "approval-policy", model, "--approvals", "2", "--expire-after", "2h")
    assert kept["policy"]["expire_after"] == "7200s"
    refused = headrace.run("models", "promote", model, "v2")
    assert refused.exit_code == 4
    assert "headrace models request" in refused.output
    made = headrace("models", "request", model, "v2", "--reason", "better on sevens")
    number = made["request"]["name"].rpartition("/")[2]
    assert made["review"]["missing_approvals"] == 2
    shown = headrace.run("models", "approvals", model, number)
    assert "better on sevens" in shown.output
    assert "100 % of the units would change their version" in shown.output
    own = headrace.run("models", "approve", model, number)
    assert own.exit_code == 6
    with person(served, "bob") as bob:
        bob.approvals.approve(model, int(number))
    # What REST says is the same.
    found = served.rest("GET", f"/v1/models/{model}/promotionRequests/{number}").json()
    assert [one["client"] for one in found["request"]["approvals"]] == ["bob"]
    path = f"/v1/models/{model}/promotionRequests/{number}:approve"
    done = served.rest("POST", path, token=served.stack.token("cid"), json={"reason": "looked at it"}).json()
    assert (done["request"]["state"], done["model"]["production_version"]) == ("STATE_PROMOTED", "v2")
    listed = headrace("models", "approvals", model, "--all")["requests"]
    assert [one["state"] for one in listed] == ["STATE_PROMOTED"]
    assert headrace("models", "approvals", model)["requests"] == []


def test_a_version_is_reviewed_before_anybody_asks_and_one_rejection_ends_a_request(headrace: Headrace, served: Served):
    headrace.two_versions("v1")
    model = headrace.model
    headrace("models", "approval-policy", model, "--approvals", "2")
    headrace("models", "gates", model, "--set", "accuracy>=0.99")
    reviewed = headrace("models", "review", model, "v2")
    assert (reviewed["missing_approvals"], reviewed["production_version"]) == (2, "v1")
    assert "0.95" in reviewed["gates"][0]["problem"]
    assert [one for one in reviewed["obstacles"] if "accuracy" in one]
    by_rest = served.rest("GET", f"/v1/models/{model}/versions/v2:reviewPromotion").json()["review"]
    assert by_rest["obstacles"] == reviewed["obstacles"]
    headrace("models", "gates", model, "--set", "accuracy>=0.9")
    assert not [one for one in headrace("models", "review", model, "v2")["obstacles"] if "accuracy" in one]
    assert headrace("models", "approvals", model, "--all")["requests"] == [], "nothing was asked for"

    number = int(headrace("models", "request", model, "v2", "--reason", "x")["request"]["name"].rpartition("/")[2])
    path = f"/v1/models/{model}/promotionRequests/{number}"
    with person(served, "bob") as bob, person(served, "cid") as cid:
        bob.approvals.approve(model, number)
        ended = cid.approvals.reject(model, number, "worse on ones")
        assert (ended.state, ended.end_reason) == (State.STATE_REJECTED, "worse on ones")
        with pytest.raises(PreconditionFailed) as late:
            bob.approvals.approve(model, number)
    assert late.value.reason == "PROMOTION_REQUEST_CLOSED"
    again = served.rest("POST", f"{path}:reject", token=served.stack.token("cid"), json={"reason": "still"})
    assert again.status_code == 400, again.text
    assert served.client.models.get(model).production_version == "v1"


@pytest.mark.parametrize(
    ("put", "listing", "delete"),
    [
        (("models", "put-webhook"), ("models", "webhooks"), ("models", "delete-webhook")),
        (("rollouts", "put-webhook"), ("rollouts", "webhooks"), ("rollouts", "delete-webhook")),
        (("jobs", "put-webhook"), ("jobs", "webhooks"), ("jobs", "delete-webhook")),
    ],
    ids=["models", "rollouts", "jobs"],
)
def test_the_command_line_makes_lists_and_removes_webhooks(
    headrace: Headrace, put: Words, listing: Words, delete: Words
):
    key = headrace.folder / "key"
    key.write_text(SECRET)
    name = f"{headrace.model[-20:]}-hook"
    told = (name, f"http://{RECEIVERS}:9/x", "--secret-file", str(key), "--model", headrace.model)
    made = headrace(*put, *told)["webhook"]
    assert made["secret"] == ""
    listed = [one for one in headrace(*listing)["webhooks"] if one["name"] == made["name"]]
    assert [one["model"] for one in listed] == [headrace.model]
    assert headrace.model in headrace.run(*listing).output
    headrace(*delete, name)
    assert made["name"] not in [one["name"] for one in headrace(*listing)["webhooks"]]


def test_a_rollout_is_asked_for_by_rest_and_shown_with_its_policy(headrace: Headrace, served: Served):
    headrace.two_versions("v1")
    model = headrace.model
    headrace("models", "approval-policy", model, "--approvals", "2")
    policy = {"strategy": "STRATEGY_CANARY", "tolerated_ratio": 2.5, "steps": [{"percent": 5, "dwell": "60s"}]}
    wish = {"reason": "better", "rollout_policy": policy}
    made = served.rest("POST", f"/v1/models/{model}/versions/v2:requestPromotion", json=wish).json()
    assert made["request"]["rollout_policy"] == policy
    shown = headrace.run("models", "approvals", model, made["request"]["name"].rpartition("/")[2])
    assert "rollout (canary)" in shown.output
    assert headrace("models", "approvals", model)["requests"][0]["rollout_policy"] == policy


def test_scopes_tell_who_asks_who_agrees_and_who_sets_the_rule(headrace: Headrace, served: Served):
    headrace.two_versions("v1")
    with person(served, "ann", "registry.read", "registry.promote", "registry.write") as ann:
        with pytest.raises(PermissionDenied):
            ann.approvals.put_policy(headrace.model, None)
        headrace("models", "approval-policy", headrace.model, "--approvals", "1")
        made = ann.approvals.request(headrace.model, "v2", reason="mine").request
        number = int(made.name.rpartition("/")[2])
        for forbidden in (
            lambda: ann.approvals.approve(headrace.model, number),
            lambda: ann.approvals.break_glass(headrace.model, "v2", "now"),
        ):
            with pytest.raises(PermissionDenied):
                forbidden()
        assert ann.approvals.withdraw(headrace.model, number).state == State.STATE_WITHDRAWN


@pytest.mark.long
async def test_an_approved_rollout_of_a_variant_that_names_its_version_promotes_nothing_and_has_not_failed(
    headrace: Headrace, served: Served
):
    headrace.two_versions("v1")
    model = headrace.model
    headrace("routes", "split", model, "control:v1=100")
    headrace("models", "approval-policy", model, "--approvals", "1")
    policy = headrace.folder / "rollout.yaml"
    policy.write_text("strategy: rolling\nsteps:\n  - percent: 50\n    dwell: 100ms\n  - percent: 100\n")
    made = headrace("models", "request", model, "v2", "--policy", str(policy), "--reason", "better on sevens")
    number = int(made["request"]["name"].rpartition("/")[2])
    with person(served, "bob") as bob:
        bob.approvals.approve(model, number)
    await eventually(lambda: served.client.approvals.get(model, number).request.HasField("end_time"), within=90)
    ended = served.client.approvals.get(model, number).request
    assert ended.state == State.STATE_ROLLED_OUT, ended
    assert served.client.models.get(model).production_version == "v1"
    assert [one.version for one in served.client.routes.get(model).route.variants] == ["v2"]


async def test_an_approved_rollout_starts_by_itself_and_promotes(headrace: Headrace, served: Served):
    headrace.two_versions("v1")
    model = headrace.model
    headrace("models", "approval-policy", model, "--approvals", "1")
    with pytest.raises(PreconditionFailed) as alone:
        served.client.rollouts.start(model, "v2")
    assert alone.value.reason == "APPROVAL_REQUIRED"
    policy = headrace.folder / "rollout.yaml"
    policy.write_text("strategy: rolling\nsteps:\n  - percent: 50\n    dwell: 100ms\n  - percent: 100\n")
    wrong = headrace.folder / "wrong.yaml"
    wrong.write_text("steps:\n  - percent: 50\n  - percent: 40\n")
    refused = headrace.run("models", "request", model, "v2", "--policy", str(wrong), "--reason", "x")
    assert "wrong.yaml:3" in refused.output
    made = headrace("models", "request", model, "v2", "--policy", str(policy), "--reason", "better on sevens")
    number = int(made["request"]["name"].rpartition("/")[2])
    with person(served, "bob") as bob:
        approved = bob.approvals.approve(model, number).request
    assert approved.state == State.STATE_APPROVED

    def request() -> pb.PromotionRequest:
        return served.client.approvals.get(model, number).request

    await eventually(lambda: request().state == State.STATE_PROMOTED, within=60)
    assert request().rollout.startswith("rollouts/")
    assert served.client.models.get(model).production_version == "v2"
    (rollout,) = served.client.rollouts.list(model=model)
    assert rollout.start_reason.startswith(made["request"]["name"])
