"""Requests for promotion and approval policies, as every store keeps them."""

from dataclasses import replace
from datetime import timedelta

from headrace_registry.decisions.approvals import Approval, PromotionRequest, RequestState
from headrace_registry.decisions.models import Action, ApprovalPolicy, Stage, VersionRef

from tests.kit.registry.contents import NOW, add_version, event, full_version, make_model

POLICY = ApprovalPolicy(2, ("release-*", "ümit"), (Stage.STAGING, Stage.PRODUCTION), timedelta(minutes=90), True)


def request(number: int, model: str = "digits", **fields) -> PromotionRequest:
    """Return a request in which no field has its default; fields are those of PromotionRequest."""
    return PromotionRequest(
        **{
            "ref": VersionRef(model, "v1"),
            "number": number,
            "target": Stage.PRODUCTION,
            "author": "ann",
            "reason": 'besser auf "7"',
            "create_time": NOW,
            "expire_time": NOW + timedelta(days=1),
            "approvals": (Approval("bob", "ja\n", NOW),),
            "allow_incompatible": True,
            "signature_breaks": ("inputs.x: removed",),
            "rollout_policy": '{"strategy": "STRATEGY_CANARY"}',
            "variant": "main",
            "rollout": "rollouts/7",
            "end_time": NOW,
            "end_client": "eve",
            "end_reason": "no",
            **fields,
        }
    )


async def test_a_policy_stays_with_its_model_until_it_is_removed(store):
    model = await make_model(store)
    assert model.approvals is None
    for policy in (POLICY, None):
        async with store.transaction() as transaction:
            locked = await transaction.lock_model("digits")
            await transaction.save(replace(locked, epoch=locked.epoch + 1, approvals=policy), [event(locked.epoch + 1)])
        assert (await store.model("digits")).approvals == policy
        (state,) = await store.states(after="", limit=9)
        assert state.model.approvals == policy


async def test_requests_are_replaced_and_listed_by_model_the_latest_first(store):
    for name in ("digits", "other", "third"):
        await make_model(store, name)
        await add_version(store, full_version(name, epoch=2))
    kept = [request(3), request(2, state=RequestState.PROMOTED), request(9, "other"), request(4, "third")]
    async with store.transaction() as transaction:
        for one in (*reversed(kept), replace(kept[0], reason="before"), kept[0]):
            await transaction.put_promotion_request(one)
        assert await transaction.promotion_request("digits", 3) == kept[0]
        assert await transaction.promotion_request("digits", 9) is None
        assert await transaction.open_promotion_requests("digits") == [kept[0]]
        assert await transaction.open_promotion_requests("nobody") == []
    assert await store.promotion_requests("", None, after=("", 0), limit=9) == kept
    assert await store.promotion_requests("", None, after=("", 0), limit=1) == kept[:1]
    assert await store.promotion_requests("", None, after=("digits", 3), limit=9) == kept[1:]
    assert await store.promotion_requests("digits", None, after=("", 0), limit=9) == kept[:2]
    assert await store.promotion_requests("", RequestState.PROMOTED, after=("", 0), limit=9) == [kept[1]]
    assert await store.promotion_request("other", 9) == kept[2]
    async with store.transaction() as transaction:
        gone = await transaction.lock_model("third")
        await transaction.save(replace(gone, epoch=9, delete_time=NOW), [event(9, action=Action.MODEL_DELETED)])
    assert await store.promotion_requests("", None, after=("", 0), limit=9) == kept[:3]
    assert await store.promotion_request("third", 4) is None


async def test_a_transaction_that_fails_leaves_no_request(store):
    await make_model(store)
    try:
        async with store.transaction() as transaction:
            await transaction.put_promotion_request(request(2))
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert await store.promotion_requests("", None, after=("", 0), limit=9) == []


async def test_history_tells_which_request_a_line_is_about(store):
    await make_model(store)
    async with store.transaction() as transaction:
        model = await transaction.lock_model("digits")
        line = event(2, action=Action.PROMOTION_APPROVED, version="v1", promotion_request=2)
        await transaction.save(replace(model, epoch=2), [line])
    assert [one.promotion_request for one in await store.events("digits", before=None, limit=9)] == [2, 0]
