"""A client of one model in TypeScript, which needs nothing but `fetch`."""

from __future__ import annotations

import json

from headrace.registry.v1 import registry_pb2

from headrace_forge.typed.shape import Shape, Value, class_name, prediction_of, row_of

_KINDS = {"number": "number", "integer": "number", "boolean": "boolean", "text": "string"}


def source(version: registry_pb2.ModelVersion) -> str:
    """Return the module."""
    _, model, _, of = version.name.split("/")
    row, prediction = row_of(version.contract.inputs), prediction_of(version.contract.outputs)
    return f"""// Client of the model {model}, version {of}. Made by `headrace models client {model} --lang typescript`.

export const MODEL = {json.dumps(model)};
export const VERSION = {json.dumps(of)};
/** Of the contract that this was made from: another version with the same one takes the same rows. */
export const SIGNATURE = {json.dumps(version.signature_hash)};

{_type("Row", row)}
{_type("Prediction", prediction)}
/** The answer was an error. */
export class RequestFailed extends Error {{
  readonly status: number;
  readonly document: unknown;

  constructor(status: number, document: unknown) {{
    const message = (document as {{ message?: unknown }} | null)?.message;
    super(`${{status}}: ${{typeof message === "string" ? message : JSON.stringify(document)}}`);
    this.status = status;
    this.document = document;
  }}
}}

export interface Options {{
  userId?: string;
  entityId?: string;
  signal?: AbortSignal;
}}

/** Asks for predictions. url: of the front door; token: a bearer token. */
export class {class_name(model)}Client {{
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token = "") {{
    this.#url = `${{url.replace(/\\/+$/, "")}}/v1/models/${{MODEL}}:predict`;
    this.#token = token;
  }}

  /** Returns one prediction for each row. Throws RequestFailed. */
  async predict(rows: readonly Row[], options: Options = {{}}): Promise<Prediction[]> {{
    const headers: Record<string, string> = {{ "content-type": "application/json" }};
    if (this.#token) headers["authorization"] = `Bearer ${{this.#token}}`;
    const body = {{
      instances: rows.map(toInstance),
      ...(options.userId ? {{ user_id: options.userId }} : {{}}),
      ...(options.entityId ? {{ entity_id: options.entityId }} : {{}}),
    }};
    const request = {{ method: "POST", headers, body: JSON.stringify(body), signal: options.signal ?? null }};
    const answer = await fetch(this.#url, request);
    const document = (await answer.json().catch(() => null)) as {{ predictions: unknown[] }} | null;
    if (!answer.ok || document === null) throw new RequestFailed(answer.status, document);
    return document.predictions.map(toPrediction);
  }}
}}

function toInstance(row: Row): unknown {{
  return {_written(row)};
}}

function toPrediction(value: unknown): Prediction {{
{_taken(prediction)}
}}
"""


def _type(name: str, shape: Shape) -> str:
    if shape.value is not None:
        return f"export type {name} = {_typed(shape.value, wide=name == 'Row')};\n"
    fields = "\n".join(
        f"  {field.name}{'?' if field.optional else ''}: {_typed(field.value, wide=name == 'Row')};"
        for field in shape.fields
    )
    return f"export interface {name} {{\n{fields}\n}}\n"


def _typed(value: Value, *, wide: bool) -> str:
    typed = _KINDS[value.kind] + (" | null" if value.nullable else "")
    for at in range(value.depth):
        typed = f"{'Readonly' if wide else ''}Array<{typed}>" if at == 0 or not wide else f"ReadonlyArray<{typed}>"
    return typed


def _written(row: Shape) -> str:
    if row.value is not None:
        return "row"
    if row.listed:
        return "[" + ", ".join(f"row.{field.name}" for field in row.fields) + "]"
    return "{ " + ", ".join(f"{json.dumps(field.key)}: row.{field.name}" for field in row.fields) + " }"


def _taken(prediction: Shape) -> str:
    if prediction.value is not None:
        return "  return value as Prediction;"
    pairs = "\n".join(f"    {field.name}: found[{json.dumps(field.key)}]," for field in prediction.fields)
    return f"  const found = value as Record<string, unknown>;\n  return {{\n{pairs}\n  }} as Prediction;"
