"""The Python SDK of Headrace: numpy in, numpy out.

from headrace_client import Client

with Client() as client:
    answer = client.predict("digits", {"image": images}, user_id="ada")
    print(answer.outputs["label"], answer.version)
"""

from typing import Any

from headrace_client import installed
from headrace_client.chunks import Answers, Opened
from headrace_client.client import AsyncClient, Client
from headrace_client.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FieldViolation,
    HeadraceError,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    PreconditionFailed,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from headrace_client.fallbacks import Backup, Constant, EntityTable, FallbackStep, Precomputed, Stale
from headrace_client.issuer import DevelopmentIssuer
from headrace_client.lookups import Hedging, Lookup, LookupKey, LookupMode
from headrace_client.operations.declarations import Example
from headrace_client.operations.explanations import Attempt, Explanation
from headrace_client.operations.models import Stage
from headrace_client.operations.prediction import Prediction, ServedFrom
from headrace_client.operations.readiness import Progress, progress_of
from headrace_client.operations.registration import Lineage, Serving
from headrace_client.operations.routes import Alias, Production, Unit, Variant, Version
from headrace_client.retries import RetryPolicy
from headrace_client.rules import Condition, Operator, Rule
from headrace_client.tensors import BFloat16
from headrace_client.tokens import TokenProvider

__all__ = [
    "Aborted",
    "Alias",
    "AlreadyExists",
    "Answers",
    "AsyncClient",
    "Attempt",
    "BFloat16",
    "Backup",
    "Cancelled",
    "Client",
    "Condition",
    "Constant",
    "DataLoss",
    "DeadlineExceeded",
    "DevelopmentIssuer",
    "EntityTable",
    "Example",
    "Explanation",
    "FallbackStep",
    "FieldViolation",
    "HeadraceError",
    "Hedging",
    "Internal",
    "InvalidArgument",
    "Lineage",
    "Lookup",
    "LookupKey",
    "LookupMode",
    "NotFound",
    "Opened",
    "Operator",
    "OutOfRange",
    "PermissionDenied",
    "Precomputed",
    "PreconditionFailed",
    "Prediction",
    "Production",
    "Progress",
    "ResourceExhausted",
    "RetryPolicy",
    "Rule",
    "ServedFrom",
    "Serving",
    "Stage",
    "Stale",
    "TokenProvider",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unit",
    "Variant",
    "Version",
    "progress_of",
]


def __getattr__(name: str) -> Any:
    """Return what a part has by the place that it had before there were parts; in this release only."""
    return installed.moved(name)
