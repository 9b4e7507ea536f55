"""Approved promotion requests that are rolled out: each starts its rollout without a further call."""

from __future__ import annotations

from hashlib import sha256

import structlog
from google.protobuf import json_format, struct_pb2
from headrace.registry.v1 import approval_pb2
from headrace.rollout.v1 import rollout_pb2
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.resource_names import invalid

from headrace_rollout import convert
from headrace_rollout.registry import Registry
from headrace_rollout.start import Starting, Wanted
from headrace_rollout.store import Request

log = structlog.get_logger()

EVERY_S = 5.0
# Client of these rollouts' requests; the request id is the name of the promotion request.
_CLIENT = "approvals"


class ApprovedRollouts:
    """Starts approved rollouts. Safe in several processes at once: a request starts one rollout."""

    def __init__(self, registry: Registry, starting: Starting) -> None:
        self._registry, self._starting = registry, starting
        self._logged: dict[str, str] = {}

    async def start(self) -> None:
        """Start the rollout of each approved request; retry a failed start until the request expires.

        Each reason of a failure is logged once.
        """
        try:
            waiting = await self._registry.approved()
        except ServiceError as error:
            log.debug("approved rollouts unknown", reason=error.public_message)
            return
        names = {one.name for one in waiting}
        self._logged = {name: reason for name, reason in self._logged.items() if name in names}
        # A request that has a rollout needs no start.
        for request in (one for one in waiting if not one.rollout):
            try:
                rollout = await self._starting.start(wanted_of(request), request_of(request))
            except ServiceError as error:
                if self._logged.get(request.name) != error.public_message:
                    log.warning("an approved rollout waits", request=request.name, reason=error.public_message)
                    self._logged[request.name] = error.public_message
            else:
                log.info("approved rollout started", request=request.name, rollout=rollout.name)


def wanted_of(request: approval_pb2.PromotionRequest) -> Wanted:
    """Return the rollout that a promotion request asks for. Raises InvalidArgument for an invalid policy."""
    return Wanted(
        model=request.name.split("/")[1],
        version=request.version,
        variant=request.variant,
        policy=convert.policy_of(_message_of(request.rollout_policy), "rollout_policy"),
        client=request.author,
        reason=f"{request.name}: {request.reason}"[:1000],
        promotion_request=request.name,
    )


def _message_of(document: struct_pb2.Struct) -> rollout_pb2.RolloutPolicy:
    """Return the policy that a document is, as the registry has it. Raises InvalidArgument."""
    try:
        return json_format.ParseDict(json_format.MessageToDict(document), rollout_pb2.RolloutPolicy())
    except json_format.ParseError as error:
        raise invalid("rollout_policy", str(error)) from None


def request_of(request: approval_pb2.PromotionRequest) -> Request:
    """Return what makes the start repeatable: a request that went back to wait for approvals begins another rollout."""
    name = f"{request.name}/{request.rounds}" if request.rounds else request.name
    return Request(_CLIENT, name, sha256(name.encode()).digest())
