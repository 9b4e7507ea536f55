"""The registry, as a rollout needs it."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from headrace.registry.v1 import approval_pb2, approval_pb2_grpc, registry_pb2, registry_pb2_grpc
from headrace_servicekit.errors import PreconditionFailed

from headrace_rollout.decisions.policies import measured_later
from headrace_rollout.decisions.rollouts import Rollout, State
from headrace_rollout.peers import CALL_S, answered, duration_of

# Renewed long before; it keeps promotions by hand away, so it must not outlive a rollout for long.
HOLD = timedelta(minutes=10)


class Registry:
    """The registry. Every method raises the typed error that it answers."""

    def __init__(self, channel: Any) -> None:
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._approvals = approval_pb2_grpc.ApprovalServiceStub(channel)

    async def model(self, model: str) -> registry_pb2.Model:
        """Return a model."""
        request = registry_pb2.GetModelRequest(name=f"models/{model}")
        return (await answered(self._stub.GetModel(request, timeout=CALL_S))).model

    async def version(self, model: str, version: str) -> registry_pb2.ModelVersion:
        """Return a version."""
        request = registry_pb2.GetModelVersionRequest(name=f"models/{model}/versions/{version}")
        return (await answered(self._stub.GetModelVersion(request, timeout=CALL_S))).version

    async def hold(self, rollout: Rollout) -> None:
        """Keep the version of a rollout from being removed."""
        request = registry_pb2.HoldVersionRequest(
            name=f"models/{rollout.model}/versions/{rollout.version}",
            holder=rollout.manager,
            ttl=duration_of(HOLD),
            reason=f"rolled out by {rollout.client or 'an unknown client'}",
        )
        await answered(self._stub.HoldVersion(request, timeout=CALL_S))

    async def release(self, rollout: Rollout) -> None:
        """End that. Before it, the request for promotion of a rollout at its end: one that nothing holds has failed."""
        promotes = rollout.reference == "follow_production"
        if rollout.promotion_request and not promotes and rollout.state in (State.PROMOTING, State.SUCCEEDED):
            done = approval_pb2.ClaimPromotionRequestRequest(
                name=rollout.promotion_request, rollout=rollout.manager, rolled_out=True
            )
            with suppress(PreconditionFailed):  # it has ended already
                await answered(self._approvals.ClaimPromotionRequest(done, timeout=CALL_S))
        request = registry_pb2.ReleaseHoldRequest(
            name=f"models/{rollout.model}/versions/{rollout.version}", holder=rollout.manager
        )
        await answered(self._stub.ReleaseHold(request, timeout=CALL_S))

    async def promote(self, rollout: Rollout) -> None:
        """Have the registry name the version where the variant looks, unless it does. Of a variant that names its
        version itself, ask gates and approvals a last time.

        Raises PreconditionFailed, reason MOVED_BY_HAND, when it names another one than before the rollout, and what
        gates and approvals say; Aborted when the model changed meanwhile.
        """
        if rollout.reference == "version":
            await self._check(rollout)
            return
        model = await self.model(rollout.model)
        named = _named(model, rollout)
        if named == rollout.version:
            return
        if named != rollout.baseline:
            raise PreconditionFailed(f"version {named} was put there by hand", reason="MOVED_BY_HAND")
        reason = f"{rollout.name}: {rollout.reason}"[:1000]
        if rollout.reference == "follow_alias":
            await self._check(rollout)
            alias = registry_pb2.SetAliasRequest(
                name=f"models/{rollout.model}/aliases/{rollout.alias}",
                version=rollout.version,
                reason=reason,
                etag=model.etag,
            )
            await answered(self._stub.SetAlias(alias, timeout=CALL_S))
            return
        request = registry_pb2.PromoteModelVersionRequest(
            name=f"models/{rollout.model}/versions/{rollout.version}",
            target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION,
            reason=reason,
            etag=model.etag,
            rollout=rollout.manager,
        )
        await answered(self._stub.PromoteModelVersion(request, timeout=CALL_S))

    async def check_promotion(self, rollout: Rollout) -> None:
        """Raise the errors of gates and approvals before the first step, however the variant names its version. Metrics
        that the rollout measures itself may be missing here: `promote` checks them.
        """
        await self._check(rollout, measured_later(rollout.policy))

    async def _check(self, rollout: Rollout, later: tuple[str, ...] = ()) -> None:
        request = registry_pb2.PromoteModelVersionRequest(
            name=f"models/{rollout.model}/versions/{rollout.version}",
            target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION,
            rollout=rollout.manager,
            promotion_request=rollout.promotion_request,
            # Callers of a variant that follows production rely on its signature; other names promise none.
            allow_incompatible_signature=rollout.reference != "follow_production",
            validate_only=True,
            measured_later=later,
        )
        await answered(self._stub.PromoteModelVersion(request, timeout=CALL_S))

    async def approved(self) -> list[approval_pb2.PromotionRequest]:
        """Return the requests for promotion that wait for their rollout."""
        found: list[approval_pb2.PromotionRequest] = []
        request = approval_pb2.ListPromotionRequestsRequest(state=approval_pb2.PromotionRequest.STATE_APPROVED)
        while True:
            answer = await answered(self._approvals.ListPromotionRequests(request, timeout=CALL_S))
            found += answer.requests
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def claim(self, rollout: Rollout) -> None:
        """Have the request for promotion, that a rollout is the effect of, be this rollout's."""
        if rollout.promotion_request:
            request = approval_pb2.ClaimPromotionRequestRequest(name=rollout.promotion_request, rollout=rollout.manager)
            await answered(self._approvals.ClaimPromotionRequest(request, timeout=CALL_S))

    async def ask_again(self, rollout: Rollout) -> bool:
        """Have those who approved a rollout asked once more; return whether they have approved it since. Raises
        PreconditionFailed when they will not.
        """
        request = approval_pb2.ReopenPromotionRequestRequest(
            name=rollout.promotion_request, rollout=rollout.manager, reason=rollout.asks[:1000]
        )
        try:
            found = (await answered(self._approvals.ReopenPromotionRequest(request, timeout=CALL_S))).request
        except PreconditionFailed as error:
            if error.reason == "APPROVAL_NOT_REQUIRED":
                return True
            raise
        if found.state == approval_pb2.PromotionRequest.STATE_APPROVED:
            await self.claim(rollout)
        return found.state != approval_pb2.PromotionRequest.STATE_PENDING

    async def named(self, rollout: Rollout) -> str:
        """Return the version that the registry has where the variant looks: in production, or behind its alias."""
        return _named(await self.model(rollout.model), rollout)


def _named(model: registry_pb2.Model, rollout: Rollout) -> str:
    if rollout.reference == "follow_alias":
        return model.aliases.get(rollout.alias, "")
    return model.production_version
