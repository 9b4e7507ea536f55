"""The registry: models, versions, stages, aliases, gates and history."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from headrace.registry.v1 import registry_pb2

from headrace_client.calls import Operation, Session, invoke
from headrace_client.operations.list_pages import list_all

DEFAULT_TIMEOUT_S = 30.0

Stage = registry_pb2.ModelVersion.Stage
# The registry's default gates, which no answer of its API lists.
DEFAULT_GATES = (
    registry_pb2.PromotionGate(metric="accuracy", minimum=0.85),
    registry_pb2.PromotionGate(metric="latency_p99_ms", maximum=100),
)


def list_models(
    session: Session,
    *,
    contains: str = "",
    latest_first: bool = False,
    limit: int | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[list[registry_pb2.Model]]:
    """Return the models that the token may see, by name, at most `limit` of them.

    contains: only those whose id or description has it. latest_first: those that changed last come first.
    """
    request = _models_request(contains, latest_first)
    return (
        yield from list_all(session, registry_pb2.ListModelsResponse, request, "models", timeout_s=timeout, limit=limit)
    )


def models_page(
    session: Session,
    *,
    contains: str = "",
    latest_first: bool = False,
    size: int = 50,
    token: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.ListModelsResponse]:
    """Return one page of the same, with the token of the next. token: of the page before; empty for the first."""
    request = _models_request(contains, latest_first)
    request.page_size, request.page_token = size, token
    return (yield from invoke(session, registry_pb2.ListModelsResponse, request, timeout_s=timeout))


def get_model(session: Session, model: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[registry_pb2.Model]:
    """Return one model with its gates, aliases and production version."""
    request = registry_pb2.GetModelRequest(name=f"models/{model}")
    return (yield from invoke(session, registry_pb2.GetModelResponse, request, timeout_s=timeout)).model


def list_versions(
    session: Session, model: str, *, stage: Stage | None = None, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[registry_pb2.ModelVersion]]:
    """Return a model's versions, newest first; only those of one stage when given."""
    request = registry_pb2.ListModelVersionsRequest(parent=f"models/{model}", stage=stage)
    return (
        yield from list_all(session, registry_pb2.ListModelVersionsResponse, request, "versions", timeout_s=timeout)
    )


def get_version(
    session: Session, model: str, version: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[registry_pb2.ModelVersion]:
    """Return one version with its contract, metrics, lineage and artifacts."""
    request = registry_pb2.GetModelVersionRequest(name=f"models/{model}/versions/{version}")
    return (yield from invoke(session, registry_pb2.GetModelVersionResponse, request, timeout_s=timeout)).version


def update_serving(
    session: Session,
    model: str,
    version: str,
    serving: registry_pb2.ServingSettings,
    *,
    etag: str = "",
    reason: str = "",
    validate_only: bool = False,
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.UpdateServingSettingsResponse]:
    """Replace what is set of a version's serving settings; batchers take them while they serve.

    validate_only: check, change nothing, and return what there would be. Raises Aborted when `etag` is not current.
    """
    request = registry_pb2.UpdateServingSettingsRequest(
        name=f"models/{model}/versions/{version}",
        serving=serving,
        etag=etag,
        reason=reason,
        validate_only=validate_only,
        request_id=_id(request_id),
    )
    return (yield from invoke(session, registry_pb2.UpdateServingSettingsResponse, request, timeout_s=timeout))


def create_model(
    session: Session, model: str, *, description: str = "", request_id: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[registry_pb2.Model]:
    """Create a model without versions. `register_version` does this by itself."""
    request = registry_pb2.CreateModelRequest(
        model=registry_pb2.Model(name=f"models/{model}", description=description), request_id=_id(request_id)
    )
    return (yield from invoke(session, registry_pb2.CreateModelResponse, request, timeout_s=timeout)).model


def set_gates(
    session: Session,
    model: str,
    gates: Sequence[registry_pb2.PromotionGate] | None,
    *,
    max_unpromoted_share: float | None = None,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.Model]:
    """Replace what a version must show to reach production: None for the default gates, empty for no gates.

    max_unpromoted_share: of the traffic, 0 to 1, for versions that are not promoted, by splits and experiments; None
    leaves what is stated, and drops it with the last gate.

    Reads the model first and sends its etag, so a change made in between fails with Aborted instead of being lost.
    """
    changed = yield from get_model(session, model, timeout=timeout)
    stated = changed.promotion_policy.HasField("max_unpromoted_share")
    if gates and stated and max_unpromoted_share is None:
        max_unpromoted_share = changed.promotion_policy.max_unpromoted_share
    changed.ClearField("promotion_policy")
    if gates is not None:
        changed.promotion_policy.SetInParent()
        changed.promotion_policy.gates.extend(gates)
        if max_unpromoted_share is not None:
            changed.promotion_policy.max_unpromoted_share = max_unpromoted_share
    request = registry_pb2.UpdateModelRequest(model=changed, reason=reason, request_id=_id(request_id))
    return (yield from invoke(session, registry_pb2.UpdateModelResponse, request, timeout_s=timeout)).model


def set_max_unpromoted_share(
    session: Session,
    model: str,
    share: float,
    *,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.Model]:
    """Replace which share of the traffic versions may get by splits and experiments that are not promoted, 0 to 1.

    Gates of the model's own stay; the default ones become its own. Reads the model first and sends its etag.
    """
    changed = yield from get_model(session, model, timeout=timeout)
    if not changed.HasField("promotion_policy"):
        changed.promotion_policy.gates.extend(DEFAULT_GATES)
    changed.promotion_policy.max_unpromoted_share = share
    request = registry_pb2.UpdateModelRequest(model=changed, reason=reason, request_id=_id(request_id))
    return (yield from invoke(session, registry_pb2.UpdateModelResponse, request, timeout_s=timeout)).model


def promote(
    session: Session,
    model: str,
    version: str,
    *,
    stage: Stage = Stage.STAGE_PRODUCTION,
    etag: str = "",
    allow_incompatible_signature: bool = False,
    end_rollout: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.PromoteModelVersionResponse]:
    """Move a version to a stage; the answer's `model.epoch` is what `await_epoch` waits for.

    Raises PreconditionFailed listing every gate that is not met, or every way in which the version breaks callers of
    the one in production unless `allow_incompatible_signature` is set, or the rollout of the model that runs unless
    `end_rollout` is set; and Aborted when `etag` is not current.
    """
    request = registry_pb2.PromoteModelVersionRequest(
        name=f"models/{model}/versions/{version}",
        target_stage=stage,
        etag=etag,
        allow_incompatible_signature=allow_incompatible_signature,
        end_rollout=end_rollout,
        reason=reason,
        request_id=_id(request_id),
    )
    return (yield from invoke(session, registry_pb2.PromoteModelVersionResponse, request, timeout_s=timeout))


def rollback(
    session: Session,
    model: str,
    *,
    etag: str = "",
    end_rollout: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.RollbackModelResponse]:
    """Put the version that was in production before the present one back there, without asking the gates again."""
    request = registry_pb2.RollbackModelRequest(
        name=f"models/{model}", etag=etag, reason=reason, request_id=_id(request_id), end_rollout=end_rollout
    )
    return (yield from invoke(session, registry_pb2.RollbackModelResponse, request, timeout_s=timeout))


def set_alias(
    session: Session,
    model: str,
    alias: str,
    version: str,
    *,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.Model]:
    """Point an alias at a version; moves it when it exists."""
    request = registry_pb2.SetAliasRequest(
        name=f"models/{model}/aliases/{alias}", version=version, reason=reason, request_id=_id(request_id)
    )
    return (yield from invoke(session, registry_pb2.SetAliasResponse, request, timeout_s=timeout)).model


def delete_alias(
    session: Session,
    model: str,
    alias: str,
    *,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[registry_pb2.Model]:
    """Remove an alias; removing one that does not exist succeeds."""
    request = registry_pb2.DeleteAliasRequest(
        name=f"models/{model}/aliases/{alias}", reason=reason, request_id=_id(request_id)
    )
    return (yield from invoke(session, registry_pb2.DeleteAliasResponse, request, timeout_s=timeout)).model


def history(
    session: Session, model: str, *, limit: int | None = 100, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[registry_pb2.ModelEvent]]:
    """Return the newest `limit` events of a model, newest first; None returns all."""
    request = registry_pb2.ListModelEventsRequest(parent=f"models/{model}")
    return (
        yield from list_all(
            session, registry_pb2.ListModelEventsResponse, request, "events", timeout_s=timeout, limit=limit
        )
    )


def _models_request(contains: str, latest_first: bool) -> registry_pb2.ListModelsRequest:
    order = registry_pb2.ListModelsRequest.ORDER_LATEST_CHANGE if latest_first else None
    return registry_pb2.ListModelsRequest(contains=contains, order=order)


def _id(given: str) -> str:
    return given or str(uuid.uuid4())
