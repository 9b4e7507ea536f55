"""The values that the database holds as JSON documents, and the remembered answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from headrace_registry.decisions.approvals import PromotionRequest
from headrace_registry.decisions.files import ModelFile
from headrace_registry.decisions.models import (
    ApprovalPolicy,
    Composition,
    Contract,
    Event,
    Gate,
    Metric,
    ServingChange,
    ServingSettings,
)
from headrace_registry.storage.store import Outcome

T = TypeVar("T")


class Document(Generic[T]):
    """How values of one type are written as JSON text and read again."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def write(self, value: T) -> str:
        """Return the JSON text of a value."""
        return self._adapter.dump_json(value).decode()

    def read(self, text: str) -> T:
        """Return the value in a JSON text; fields that it does not have take their default."""
        return self._adapter.validate_json(text)


TEXTS: Document[Mapping[str, str]] = Document(Mapping[str, str])
GATES: Document[tuple[Gate, ...]] = Document(tuple[Gate, ...])
METRICS: Document[tuple[Metric, ...]] = Document(tuple[Metric, ...])
CONTRACT = Document(Contract)
SERVING = Document(ServingSettings)
SERVING_CHANGE = Document(ServingChange)
COMPOSITION = Document(Composition)
MODEL_FILE = Document(ModelFile)
PROMOTION_REQUEST = Document(PromotionRequest)
APPROVALS = Document(ApprovalPolicy)
NOTICE: Document[tuple[str, Event]] = Document(tuple[str, Event])
OUTCOME = Document(Outcome)
