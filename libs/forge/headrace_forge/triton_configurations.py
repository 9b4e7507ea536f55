"""What a `config.pbtxt` of Triton's says in terms of ours, what it says beyond that, and what no pool does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import invalid
from headrace_client.local_files import read_as
from headrace_client.operations.registration import Serving

CONFIGURATION = "config.pbtxt"
MAX_BATCH_ROWS, MAX_WAIT, MAX_INSTANCES, MAX_PREFERRED = 4096, timedelta(seconds=1), 64, 16
"""What the registry takes of serving settings."""

# Members that are read; every other one that is set is named as dropped.
_READ = frozenset(
    (
        *("name", "platform", "backend", "max_batch_size", "input", "output", "instance_group", "dynamic_batching"),
        *("default_model_filename", "parameters", "model_transaction_policy", "version_policy"),
    )
)
_BATCHING_READ = frozenset(("preferred_batch_size", "max_queue_delay_microseconds"))
_GROUP_READ = frozenset(("name", "kind", "count"))
_TENSOR_READ = frozenset(("name", "data_type", "dims", "reshape", "optional"))
# Of trees: which file they are, and that they answer scores.
_PARAMETERS_READ = frozenset(("model_type", "predict_proba", "is_classifier", "output_class"))
# What a model needs of Triton that Headrace does not do: served without it, it would answer otherwise.
_NEEDED = {
    "sequence_batching": "keeps state from one request of a caller to the next (sequence_batching); each request is "
    "answered by itself here",
    "batch_input": "takes inputs that Triton makes of a batch (batch_input): let the model take rows, or pad them",
    "batch_output": "has outputs that Triton cuts by a rule (batch_output): let the model answer a row for each row",
}
_ONE, _NONE = tensor_pb2.TensorSpec.BATCH_DIMENSION_ONE, tensor_pb2.TensorSpec.BATCH_DIMENSION_NONE


def configuration(path: Path) -> Any:
    """Return the configuration in a file, which may say nothing. Raises InvalidArgument."""
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError:
        raise invalid("model", "reading config.pbtxt takes `pip install headrace-client[triton]`") from None
    messages: Any = model_config_pb2
    with read_as("a configuration of Triton", path, "model"):
        text = path.read_text(encoding="utf-8")
    try:
        return text_format.Parse(text, messages.ModelConfig())
    except text_format.ParseError as error:
        raise invalid("model", f"{path} is no configuration of Triton: {error}") from None


def refuse_unservable(config: Any, folder: Path) -> None:
    """Raise InvalidArgument for a model that would answer otherwise without something that only Triton does."""
    if config.HasField("ensemble_scheduling"):
        raise invalid("model", f"{folder} is an ensemble: write its steps as a pipeline.yaml, and register that")
    for told, _ in config.ListFields():
        if told.name in _NEEDED:
            raise invalid("model", f"{folder} {_NEEDED[told.name]}")
    named = _PARAMETERS_READ & set(config.parameters)
    of_trees = {name: config.parameters[name].string_value.lower() for name in named}
    classifies = "true" in (of_trees.get("is_classifier"), of_trees.get("output_class"))
    if config.backend == "fil" and classifies and of_trees.get("predict_proba") != "true":
        raise invalid(
            "model",
            f"{folder} answers the number of a class (predict_proba is not true), and pools answer scores: set "
            "predict_proba, and dims of the output to the number of classes, or 1 for two",
        )


def serving_of(config: Any) -> Serving:
    """Return how batches are formed, within what is possible here."""
    groups = list(config.instance_group)
    kinds = {group.Kind.Name(group.kind) for group in groups}
    device = "gpu" if kinds == {"KIND_GPU"} else "cpu" if kinds == {"KIND_CPU"} else None
    rows = min(config.max_batch_size, MAX_BATCH_ROWS)
    batching = config.dynamic_batching
    preferred = sorted({size for size in batching.preferred_batch_size if 0 < size <= rows})
    wait = timedelta(microseconds=batching.max_queue_delay_microseconds)
    return Serving(
        max_batch_rows=rows or None,
        preferred_batch_rows=tuple(preferred[-MAX_PREFERRED:]),
        max_wait=min(wait, MAX_WAIT) or None,
        instances=min(sum(group.count or 1 for group in groups), MAX_INSTANCES) or None,
        device=device,
    )


def contract_of(config: Any) -> tensor_pb2.ServingContract:
    """Return the tensors as the model has them, rows apart."""
    contract, rows_first = tensor_pb2.ServingContract(), config.max_batch_size > 0
    contract.decoupled = config.model_transaction_policy.decoupled
    for side, entries in (("inputs", config.input), ("outputs", config.output)):
        for entry in entries:
            shape = list(entry.reshape.shape if entry.HasField("reshape") else entry.dims)
            known = config.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number
            if entry.data_type not in known:
                raise invalid(
                    "model", f"{CONFIGURATION}: '{entry.name}' has the datatype {entry.data_type}, not Triton's"
                )
            kind = known[entry.data_type].name
            datatype = "BYTES" if kind == "TYPE_STRING" else kind.removeprefix("TYPE_")
            spec = getattr(contract, side).add(name=entry.name, datatype=datatype)
            if not rows_first:
                if shape[:1] != [-1]:
                    spec.batch_dimension = _ONE if shape[:1] == [1] else _NONE
                shape = shape if spec.batch_dimension == _NONE else shape[1:]
            spec.shape.extend(shape)
            if side == "inputs" and entry.optional:
                spec.optional = True
    return contract


def dropped_of(config: Any) -> Iterator[str]:
    """Yield what a configuration says that we do not keep, each with what to do instead where there is something."""
    yield from _bounded(config)
    for told, value in config.ListFields():
        if told.name not in _READ:
            yield told.name
        elif told.name == "dynamic_batching":
            yield from (f"dynamic_batching.{name}" for name in _others(value, _BATCHING_READ))
        elif told.name == "version_policy" and not value.HasField("specific"):
            yield told.name
        elif told.name == "instance_group":
            yield from (f"instance_group: {name}" for group in value for name in _others(group, _GROUP_READ))
        elif told.name in ("input", "output"):
            for entry in value:
                yield from (f"{told.name} {entry.name}: {name}" for name in _others(entry, _TENSOR_READ))
        elif told.name == "parameters":
            yield from (f"parameter {name}{_instead(name)}" for name in sorted(set(value) - _PARAMETERS_READ))


def _bounded(config: Any) -> Iterator[str]:
    """Yield what is more than is possible here, and becomes the most that is."""
    if config.max_batch_size > MAX_BATCH_ROWS:
        yield f"max_batch_size {config.max_batch_size}: {MAX_BATCH_ROWS} is the most"
    wait = timedelta(microseconds=config.dynamic_batching.max_queue_delay_microseconds)
    if wait > MAX_WAIT:
        yield f"max_queue_delay_microseconds {wait // timedelta(microseconds=1)}: 1 s is the most"
    if (count := sum(group.count for group in config.instance_group)) > MAX_INSTANCES:
        yield f"instance_group: {count} instances: {MAX_INSTANCES} is the most"


def _others(message: Any, read: frozenset[str]) -> Sequence[str]:
    return [told.name for told, _ in message.ListFields() if told.name not in read]


def _instead(name: str) -> str:
    if name == "EXECUTION_ENV_PATH":
        return ": name the packages in a requirements.txt, with their hashes"
    return ""
