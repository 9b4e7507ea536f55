"""RateLimitService: convert, call, convert."""

from __future__ import annotations

from headrace.router.v1 import client_limits_pb2, client_limits_pb2_grpc
from headrace_servicekit.identity import identity, model_not_found

from headrace_router.control.messages.rate_limits import rate_limit, rate_limit_name, to_rate_limit
from headrace_router.control.state.client_limits import ClientLimitFeed
from headrace_router.control.storage.rate_limits import RateLimitStore, sees


class RateLimitServicer(client_limits_pb2_grpc.RateLimitServiceServicer):
    """RateLimitService over the store. feed: of those who watch, who hear of a change at once."""

    def __init__(self, store: RateLimitStore, feed: ClientLimitFeed) -> None:
        self._store, self._feed = store, feed

    async def PutRateLimit(self, request, context):
        limit = rate_limit(request.rate_limit)
        if not sees(identity(), limit.model):
            raise model_not_found(limit.model)
        await self._store.put(limit, identity())
        await self._feed.read()
        return client_limits_pb2.PutRateLimitResponse(rate_limit=to_rate_limit(limit))

    async def ListRateLimits(self, request, context):
        known = await self._store.all()
        return client_limits_pb2.ListRateLimitsResponse(
            rate_limits=[to_rate_limit(one) for one in known if sees(identity(), one.model)]
        )

    async def DeleteRateLimit(self, request, context):
        await self._store.delete(rate_limit_name(request.name, "name"), identity())
        await self._feed.read()
        return client_limits_pb2.DeleteRateLimitResponse()
