"""The data plane as its transports have it."""

from __future__ import annotations

from typing import NamedTuple

from headrace_router.data.budgets import Budgets
from headrace_router.data.explain.explanations import Explanations
from headrace_router.data.lookup.lookup import Lookup
from headrace_router.data.predictor import Predictor
from headrace_router.data.rate_limits.limiter import RateLimiter
from headrace_router.data.tables.watch import Watcher
from headrace_router.data.transports.call_context import CallContextFactory
from headrace_router.data.transports.rest.event_stream import EventStreams
from headrace_router.data.transports.rest.inference_paths import InferencePaths


class DataPlane(NamedTuple):
    """What transports serve."""

    predictor: Predictor
    contexts: CallContextFactory
    paths: InferencePaths
    events: EventStreams
    watcher: Watcher
    lookup: Lookup
    budgets: Budgets
    rate_limits: RateLimiter
    explanations: Explanations
