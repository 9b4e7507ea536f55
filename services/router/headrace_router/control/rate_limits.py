"""RateLimitService: convert, call, convert."""

from __future__ import annotations

from headrace.router.v1 import client_limits_pb2, client_limits_pb2_grpc
from headrace_servicekit.identity import identity, model_not_found
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.server import Server

from headrace_router.control.messages.rate_limits import rate_limit, rate_limit_name, to_rate_limit
from headrace_router.control.state.rate_limits import RateLimitFeed
from headrace_router.control.storage.rate_limits import RateLimitStore, sees


def open_rate_limits(server: Server, connections: Connections) -> RateLimitFeed:
    """Serve RateLimitService; return what is to be followed."""
    store = RateLimitStore(connections)
    feed = RateLimitFeed(store)
    client_limits_pb2_grpc.add_RateLimitServiceServicer_to_server(RateLimitServicer(store, feed), server)
    return feed


class RateLimitServicer(client_limits_pb2_grpc.RateLimitServiceServicer):
    """RateLimitService over the store. feed: of those who watch, who hear of a change at once."""

    def __init__(self, store: RateLimitStore, feed: RateLimitFeed) -> None:
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
