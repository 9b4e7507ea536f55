"""Task of a version that does not state one, inferred from its outputs."""

from __future__ import annotations

from dataclasses import replace

from headrace_registry.decisions.contract import FLOATS, INTEGERS
from headrace_registry.decisions.models import Contract, Task, TensorSpec

# What exporters call scores of classes: skl2onnx and onnxmltools, Keras, people.
_SCORES = ("prob", "softmax", "logit")


def completed(contract: Contract) -> Contract:
    """Return a contract with its task, unless that stays open: one number may be a quantity or a score."""
    return replace(contract, task=_inferred(contract)) if contract.task is Task.UNSPECIFIED else contract


def _inferred(contract: Contract) -> Task:
    if contract.labels:
        return Task.CLASSIFICATION
    prediction = next(
        (spec for spec in contract.outputs if spec.name == contract.prediction), next(iter(contract.outputs), None)
    )
    if prediction is None:
        return Task.UNSPECIFIED
    if prediction.datatype in ("BYTES", "BOOL") or _scores_classes(prediction):
        return Task.CLASSIFICATION
    # Converters write the label, and beside it the scores.
    others = [spec for spec in contract.outputs if spec is not prediction]
    if prediction.datatype in INTEGERS and any(spec.datatype in FLOATS and _wide(spec) for spec in others):
        return Task.CLASSIFICATION
    return Task.UNSPECIFIED


def _scores_classes(spec: TensorSpec) -> bool:
    return spec.datatype in FLOATS and any(word in spec.name.lower() for word in _SCORES)


def _wide(spec: TensorSpec) -> bool:
    """Return whether a row may have several values, one for each class."""
    return len(spec.shape) == 1 and spec.shape[0] != 1
