"""Webhooks that are told of the history of models, from a registry over PostgreSQL."""

import grpc.aio
from headrace.registry.v1 import approval_pb2 as pb
from headrace.registry.v1 import approval_pb2_grpc, registry_pb2, webhook_pb2, webhook_pb2_grpc
from headrace.webhook.v1.webhook_pb2 import Webhook
from headrace_servicekit.testing import eventually

from tests.kit.monitor.alerting import SECRET, Receiver
from tests.kit.registry.service import caller, real_registry
from tests.kit.stack.running import RECEIVERS


async def test_they_are_told_who_asked_who_refused_and_of_broken_glass_in_order(postgres_url, s3, tmp_path):
    async with (
        Receiver.started(host=RECEIVERS) as receiver,
        real_registry(postgres_url, s3, tmp_path, webhook_allow=RECEIVERS) as registry,
        grpc.aio.insecure_channel(registry.target) as channel,
    ):
        webhooks = webhook_pb2_grpc.RegistryWebhookServiceStub(channel)
        approvals = approval_pb2_grpc.ApprovalServiceStub(channel)
        await registry.register("digits", "v1", metadata=caller("ann"))
        hook = Webhook(name="registryWebhooks/team", url=receiver.url(), secret=SECRET)
        hook.model = "digits"
        kept = await webhooks.PutRegistryWebhook(webhook_pb2.PutRegistryWebhookRequest(webhook=hook), timeout=20)
        assert kept.webhook.secret == ""
        await registry.register("other", "v1", metadata=caller("ann"))
        policy = pb.PutApprovalPolicyRequest(parent="models/digits", policy=pb.ApprovalPolicy(approvals=1))
        await approvals.PutApprovalPolicy(policy, timeout=20, metadata=caller("root"))
        asking = pb.RequestPromotionRequest(name="models/digits/versions/v1", reason="first")
        name = (await approvals.RequestPromotion(asking, timeout=20, metadata=caller("bob"))).request.name
        rejecting = pb.RejectPromotionRequest(name=name, reason="not yet")
        await approvals.RejectPromotion(rejecting, timeout=20, metadata=caller("cid"))
        glass = pb.BreakGlassRequest(name="models/digits/versions/v1", reason="nobody is awake")
        await approvals.BreakGlass(glass, timeout=20, metadata=caller("eve"))
        told = ["approval_policy_set", "promotion_requested", "promotion_rejected", "approval_overridden"]
        await eventually(
            lambda: (
                [one.json["type"] for one in receiver.received]
                == [f"headrace.registry.{one}" for one in (*told, "stage_changed")]
            ),
            within=30,
        )
        events = [one.json for one in receiver.received]
        assert events[1]["subject"] == events[2]["subject"] == name
        assert (events[2]["data"]["client"], events[2]["data"]["reason"]) == ("cid", "not yet")
        assert events[3]["data"]["reason"] == "nobody is awake"
        (listed,) = (
            await webhooks.ListRegistryWebhooks(webhook_pb2.ListRegistryWebhooksRequest(), timeout=20)
        ).webhooks
        assert (listed.name, listed.last_error, listed.model) == (hook.name, "", "digits")
        gone = webhook_pb2.DeleteRegistryWebhookRequest(name=hook.name)
        await webhooks.DeleteRegistryWebhook(gone, timeout=20)
        await registry.stub.SetAlias(
            registry_pb2.SetAliasRequest(name="models/digits/aliases/champion", version="v1"), timeout=20
        )
        assert len(receiver.received) == len(told) + 1
