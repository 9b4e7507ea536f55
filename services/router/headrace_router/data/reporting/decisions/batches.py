"""Predictions in columns, as `ReportPredictions` carries them. Pure: records in, bytes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from operator import attrgetter
from typing import Any

from headrace.router.v1 import predict_pb2, route_pb2
from headrace.telemetry.v1 import telemetry_pb2

from headrace_router.data.answer.answer import Answer
from headrace_router.data.reporting.decisions.recorder import Record, Row, predictions_of
from headrace_router.data.reporting.decisions.redaction import redacted_outputs, sensitive_names, shown_inputs, without
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.served import RecordedStep, ServedVersion
from headrace_router.data.tables.table import unit_of

# A chunk is what is encoded in one go, while no request is answered.
CHUNK_BYTES, CHUNK_RECORDS = 1024 * 1024, 256
# Longer texts are cut: only protobuf callers can send them.
MAX_TEXT_CHARS, MAX_ATTRIBUTES_CHARS = 512, 4096
# What a prediction takes beside its texts and values, about.
ROW_BYTES = 64

_of_answer = attrgetter(*[one.name for one in fields(Answer)])

ATTRIBUTE_SEPARATOR = "\x1f"
_REPLACEMENT = "\ufffd"
_MAX_UINT32, _MAX_AGE_MS = 2**32 - 1, 2**62


class _Group:
    """A group of a batch. index: in it. listed: positions among the request's inputs of those that are stored.

    hidden: names of outputs that are not. unsaid: names of attributes that are not, casefolded. by: what the unit is;
    None for a pinned version, which has no name as variants and steps have. plain: whether everything is stored, and
    the unit is the usual one. held: keeps the objects alive whose identities the group is found by.
    """

    __slots__ = ("by", "held", "hidden", "index", "listed", "plain", "unsaid")

    def __init__(self, index: int, record: Record) -> None:
        self.index = index
        self.held = (record.table, record.variant, record.layout, record.answer.served)
        self.listed, self.hidden, self.unsaid = shown_inputs(record), redacted_outputs(record), sensitive_names(record)
        self.by = record.table.unit if record.variant.name else None
        everything = len(self.listed) == len(record.inputs) and not self.hidden and not self.unsaid
        self.plain = everything and self.by == route_pb2.Route.UNIT_UNSPECIFIED

    def unit(self, user_id: str, entity_id: str, request_id: str) -> str:
        """Return the unit of one prediction."""
        if self.by is None:
            return ""
        return unit_of(self.by, user_id=user_id, entity_id=entity_id, request_id=request_id)

    def attributes(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return the attributes of one prediction that may be stored."""
        return {name: value for name, value in given.items() if name.casefold() not in self.unsaid}


class Batch:
    """A batch that grows. count, rows: of its records; predictions: those that are no steps. size_bytes: about."""

    def __init__(self) -> None:
        self.count = self.predictions = self.rows = self.size_bytes = 0
        self._request = telemetry_pb2.ReportPredictionsRequest()  # to make one of the batch would copy it
        self._groups: dict[tuple[Any, ...], _Group] = {}

    def add(self, records: Sequence[Row], probability: float, unix_s: float) -> None:
        """Add predictions. probability: with which each is there. unix_s: Unix time at 0 of the clock of arrivals."""
        # Columns come by turning tuples over: zip is several times as fast as reading their fields one by one.
        kept = turned(Record, records)
        answers = turned(Answer, map(_of_answer, kept.answer))
        groups = self._groups_of(records, kept, answers)
        ids = zip(kept.user_id, kept.entity_id, answers.request_id, strict=True)
        inputs, outputs, units, attributes = _shown(groups, kept.inputs, answers.outputs, ids, kept.attributes)
        values = {"inputs": inputs, "outputs": outputs, "attributes": list(map(attributes_text, attributes))}
        texts = {"request_id": cut(answers.request_id), "unit": cut(units), "entity_id": cut(kept.entity_id)}
        times = zip(kept.arrived, answers.took_s, strict=True)
        numbers = {
            "group": [group.index for group in groups],
            "answer_time_us": [int((arrived + took_s + unix_s) * 1e6) for arrived, took_s in times],
            "total_us": bounded([int(took_s * 1e6) for took_s in answers.took_s]),
            "queue_us": bounded(answers.queue_us),
            "compute_us": bounded(answers.compute_us),
            "age_ms": bounded(answers.age_ms, _MAX_AGE_MS),
            "probability": [probability] * len(records),
            "rows": [layout.rows for layout in kept.layout],
        }
        message = self._request.batch
        message.prediction_ids += bytes.fromhex("".join(answers.prediction_id).replace("-", ""))
        for name, column in (values | texts | numbers).items():
            getattr(message, name).extend(column)
        self.count += len(records)
        self.predictions += predictions_of(records)
        self.rows += sum(numbers["rows"])
        self.size_bytes += ROW_BYTES * len(records) + sum(sum(map(len, one)) for one in (values | texts).values())

    def _groups_of(self, records: Sequence[Row], kept: Any, answers: Any) -> list[_Group]:
        """Return the group of each prediction. Steps of a pipeline stay from one table to the next."""
        groups, result = self._groups, []
        columns = (kept.table, kept.variant, kept.layout, answers.served, answers.served_from)
        ids = (map(id, column) for column in columns)
        for key, record in zip(zip(*ids, answers.fallback_step, strict=True), records, strict=True):
            group = groups.get(key)
            if group is None:
                first = Record._make(record)
                group = groups[key] = _Group(len(groups), first)
                self._request.batch.groups.append(group_of(first))
            result.append(group)
        return result

    def encoded(self) -> bytes:
        """Return it as the encoded field `batch` of ReportPredictionsRequest."""
        return self._request.SerializeToString()


def rows_of(records: Sequence[Row]) -> int:
    """Return the rows of all predictions together."""
    return sum([layout.rows for _, _, layout, *_ in records])


def chunks(records: Sequence[Row], values_bytes: int) -> Iterator[Sequence[Row]]:
    """Yield the records in chunks. values_bytes: of all of them together, about."""
    if values_bytes <= CHUNK_BYTES:
        for begin in range(0, len(records), CHUNK_RECORDS):
            yield records[begin : begin + CHUNK_RECORDS]
        return
    chunk: list[Row] = []
    size_bytes = 0
    for record in records:
        own_bytes = size_of(record)
        if chunk and (size_bytes + own_bytes > CHUNK_BYTES or len(chunk) == CHUNK_RECORDS):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(record)
        size_bytes += own_bytes
    yield chunk


def size_of(record: Row) -> int:
    """Return the bytes of the values that are recorded."""
    kept = Record._make(record)
    return len(kept.answer.outputs) + sum(len(kept.inputs[position]) for position in shown_inputs(kept))


def group_of(record: Record) -> telemetry_pb2.PredictionGroup:
    """Return what a prediction has in common with others."""
    variant, found = record.variant, record.answer
    group = telemetry_pb2.PredictionGroup(
        version=found.served.version if found.served is not None else "",
        digest=found.served.digest if found.served is not None else "",
        generation=record.table.generation,
        served_from=predict_pb2.PredictResponse.ServedFrom.Name(found.served_from),  # type: ignore[arg-type]
        fallback_step=found.fallback_step,
    )
    if isinstance(variant, RecordedStep):
        group.model, group.pipeline, group.step = variant.served.model, variant.pipeline, variant.name
    else:
        group.model, group.variant, group.rule = record.table.model, variant.name, variant.rule
    layouts = list(_layouts(variant.served, record.layout))
    group.inputs.extend(layouts[position] for position in shown_inputs(record))
    return group


def turned(kind: Any, rows: Any) -> Any:
    """Return the fields of several as one of their kind that holds a column in each field."""
    return kind(*zip(*rows, strict=True))


def _shown(
    groups: Sequence[_Group],
    inputs: Sequence[Sequence[bytes]],
    outputs: Sequence[bytes],
    ids: Iterable[tuple[str, str, str]],
    attributes: Sequence[Mapping[str, str]],
) -> tuple[Sequence[bytes], Sequence[bytes], Sequence[str], Sequence[Mapping[str, str]]]:
    """Return inputs and outputs that may be stored, units, and attributes that may be. ids: user, entity, request."""
    if all(group.plain for group in set(groups)):
        units = [user or entity or request for user, entity, request in ids]
        return list(chain.from_iterable(inputs)), outputs, units, attributes
    return (
        [given[position] for group, given in zip(groups, inputs, strict=True) for position in group.listed],
        [without(given, group.hidden) for group, given in zip(groups, outputs, strict=True)],
        [group.unit(*one) for group, one in zip(groups, ids, strict=True)],
        [group.attributes(given) if given else given for group, given in zip(groups, attributes, strict=True)],
    )


def attributes_text(attributes: Mapping[str, str]) -> str:
    """Return attributes as `name=value`, sorted, joined."""
    if not attributes:
        return ""
    return ATTRIBUTE_SEPARATOR.join(
        sorted(f"{_plain(name).replace('=', _REPLACEMENT)}={_plain(value)}" for name, value in attributes.items())
    )[:MAX_ATTRIBUTES_CHARS]


def cut(texts: Sequence[str]) -> Sequence[str]:
    """Return texts, none longer than allowed."""
    if max(map(len, texts), default=0) <= MAX_TEXT_CHARS:
        return texts
    return [text[:MAX_TEXT_CHARS] for text in texts]


def bounded(numbers: Sequence[int], most: int = _MAX_UINT32) -> Sequence[int]:
    """Return numbers, each as near as their column allows: they come from batchers and clocks."""
    if not numbers or (min(numbers) >= 0 and max(numbers) <= most):
        return numbers
    return [min(max(0, number), most) for number in numbers]


def _plain(text: str) -> str:
    return text.replace(ATTRIBUTE_SEPARATOR, _REPLACEMENT)


def _layouts(served: ServedVersion, layout: Layout) -> Iterator[telemetry_pb2.PredictionGroup.InputLayout]:
    dims = iter(layout.dims)
    for position, spec in enumerate(served.contract.inputs):
        if position not in layout.absent:
            shape = [next(dims) if size == -1 else size for size in spec.shape]
            yield telemetry_pb2.PredictionGroup.InputLayout(name=spec.name, datatype=spec.datatype, shape=shape)
