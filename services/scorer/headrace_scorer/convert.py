"""From the API's messages to values. What a message cannot say in a value is a field violation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.identity import identity
from headrace_servicekit.request_fields import MAX_REQUEST_ID_CHARS, fingerprint, kept_text, optional_id
from headrace_servicekit.resource_names import ids

from headrace_scorer.answers import ENGINES, FORMATS
from headrace_scorer.decisions import specs
from headrace_scorer.decisions.specs import ColumnExpression, Engine, Location, Options, Source, Spec, TensorColumns
from headrace_scorer.publish_messages import publish_spec, time_of
from headrace_scorer.store import Request

MAX_COLUMN_CHARS, MAX_EXPRESSION_CHARS, MAX_COLUMNS, MAX_QUERY_CHARS = 255, 4000, 2000, 20_000
_FORMATS = {value: format_ for format_, value in FORMATS.items()}
_ENGINES = {value: engine for engine, value in ENGINES.items()} | {pb.ScoringOptions.ENGINE_UNSPECIFIED: Engine.WORKERS}


def model_of(text: str, field: str = "parent") -> str:
    """Return the model of `models/{model}`."""
    return ids(text, field, "models/{model}")[0]


def job_of(text: str, field: str = "name") -> tuple[str, int]:
    """Return the model and the number of `models/{model}/scoringJobs/{number}`."""
    model, number = ids(text, field, "models/{model}/scoringJobs/{number}")
    return model, int(number)


def request_of(request: pb.CreateScoringJobRequest) -> Request:
    """Return what makes a creation repeatable."""
    request_id = kept_text(request.request_id, "request_id", MAX_REQUEST_ID_CHARS)
    return Request(identity().client, request_id, fingerprint(request))


def spec_of(message: pb.ScoringSpec, field: str = "spec") -> Spec:
    """Return what a job does, with every default filled in. Raises InvalidArgument with everything that is wrong."""
    wrong: list[FieldViolation] = []
    if message.version and message.alias:
        wrong.append(FieldViolation(f"{field}.alias", "give a version or an alias"))
    for each in ("version", "alias"):
        optional_id(getattr(message, each), f"{field}.{each}")
    if message.input.format not in _FORMATS:
        wrong.append(FieldViolation(f"{field}.input.format", f"{message.input.format} is not a format"))
    source = _source(message.input, f"{field}.input", wrong) if message.input.HasField("source") else None
    spec = Spec(
        # Of a source, where its rows are copied to, which is known once the job has a number.
        input=_location(message.input.uri, f"{field}.input.uri", wrong) if source is None else Location("", ""),
        source=source,
        format=_FORMATS.get(message.input.format, specs.Format.EXTENSION),
        version=message.version,
        alias=message.alias,
        derived=_expressions(message.derived_columns, f"{field}.derived_columns", wrong),
        tensors=tuple(TensorColumns(one.tensor, tuple(one.columns)) for one in message.tensors),
        keep=tuple(message.keep_columns),
        outputs=_expressions(message.output_columns, f"{field}.output_columns", wrong),
        output=_location(message.output.uri, f"{field}.output.uri", wrong) if message.output.uri else None,
        options=_options(message.options, f"{field}.options", wrong),
        publish=(
            publish_spec(message.publishing, f"{field}.publishing", wrong) if message.HasField("publishing") else None
        ),
    )
    columns = [column for one in spec.tensors for column in one.columns] + list(spec.keep)
    for each, values in (("tensors", columns), ("tensors", [one.tensor for one in spec.tensors])):
        if any(not 0 < len(value) <= MAX_COLUMN_CHARS or "\0" in value for value in values):
            wrong.append(FieldViolation(f"{field}.{each}", f"names have 1 to {MAX_COLUMN_CHARS} characters"))
    if len(columns) > MAX_COLUMNS:
        wrong.append(FieldViolation(f"{field}.tensors", f"names {len(columns)} columns; at most {MAX_COLUMNS}"))
    refuse(wrong, reason="SPEC_INVALID")
    return spec


def _location(uri: str, field: str, wrong: list[FieldViolation]) -> Location:
    found = specs.location_of(kept_text(uri, field))
    if found is None:
        wrong.append(FieldViolation(field, f"'{uri[:200]}' is not s3://{{bucket}}/{{prefix}}"))
        return Location("", "")
    return found


def _source(message: pb.ScoringSpec.Input, field: str, wrong: list[FieldViolation]) -> Source:
    source = message.source
    if message.uri or message.format:
        wrong.append(FieldViolation(f"{field}.source", "give files or a source"))
    if bool(source.query) == bool(source.table):
        wrong.append(FieldViolation(f"{field}.source", "give a query or a table"))
    if not source.source:
        wrong.append(FieldViolation(f"{field}.source.source", "names no source"))
    return Source(
        optional_id(source.source, f"{field}.source.source"),
        kept_text(source.query, f"{field}.source.query", MAX_QUERY_CHARS),
        kept_text(source.table, f"{field}.source.table", MAX_COLUMN_CHARS),
    )


def _expressions(
    messages: Iterable[pb.ScoringSpec.ColumnExpression], field: str, wrong: list[FieldViolation]
) -> tuple[ColumnExpression, ...]:
    found = tuple(ColumnExpression(one.column, one.expression) for one in messages)
    for at, one in enumerate(found):
        if not 0 < len(one.column) <= MAX_COLUMN_CHARS or "\0" in one.column:
            wrong.append(FieldViolation(f"{field}[{at}].column", f"has to have 1 to {MAX_COLUMN_CHARS} characters"))
        if not 0 < len(one.expression) <= MAX_EXPRESSION_CHARS or "\0" in one.expression:
            message = f"has to have 1 to {MAX_EXPRESSION_CHARS} characters"
            wrong.append(FieldViolation(f"{field}[{at}].expression", message))
    if len(found) > MAX_COLUMNS:
        wrong.append(FieldViolation(field, f"has {len(found)} columns; at most {MAX_COLUMNS} are allowed"))
    return found


def _options(message: pb.ScoringOptions, field: str, wrong: list[FieldViolation]) -> Options:
    options = Options(
        batch_rows=message.batch_rows,
        shard_rows=message.shard_rows or specs.DEFAULT_SHARD_ROWS,
        workers=message.workers,
        max_rejected_share=(
            message.max_rejected_share if message.HasField("max_rejected_share") else specs.DEFAULT_REJECTED_SHARE
        ),
        window=time_of(message, "window"),
        engine=_ENGINES.get(message.engine, Engine.WORKERS),
        pool=optional_id(message.pool, f"{field}.pool"),
    )
    if message.engine not in _ENGINES:
        wrong.append(FieldViolation(f"{field}.engine", f"{message.engine} is not an engine"))
    if options.pool and options.engine is not Engine.POOL:
        wrong.append(FieldViolation(f"{field}.pool", "is of ENGINE_POOL alone"))
    if options.window is not None and not timedelta(0) < options.window <= specs.LONGEST_WINDOW:
        detail = f"must be more than 0 s and at most {specs.LONGEST_WINDOW.days} days"
        wrong.append(FieldViolation(f"{field}.window", detail))
    for each, value, low, high in (
        ("batch_rows", options.batch_rows, 0, specs.MAX_BATCH_ROWS),
        ("shard_rows", options.shard_rows, specs.MIN_SHARD_ROWS, specs.MAX_SHARD_ROWS),
        ("workers", options.workers, 0, specs.MAX_WORKERS),
        ("max_rejected_share", options.max_rejected_share, 0.0, 1.0),
    ):
        if not low <= value <= high:
            wrong.append(FieldViolation(f"{field}.{each}", f"{value:g} is not between {low:g} and {high:g}"))
    return options
