"""A client of one model in Python, which needs nothing but the standard library."""

from __future__ import annotations

from headrace.registry.v1 import registry_pb2

from headrace_forge.typed.shape import Field, Shape, Value, class_name, prediction_of, row_of

_KINDS = {"number": "float", "integer": "int", "boolean": "bool", "text": "str"}


def source(version: registry_pb2.ModelVersion) -> str:
    """Return the module."""
    _, model, _, of = version.name.split("/")
    row, prediction = row_of(version.contract.inputs), prediction_of(version.contract.outputs)
    return f'''"""Client of the model {model}, version {of}. Made by `headrace models client {model} --lang python`."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MODEL = {model!r}
VERSION = {of!r}
SIGNATURE = {version.signature_hash!r}
"""Of the contract that this was made from: another version with the same one takes the same rows."""

{_type("Row", row)}
{_type("Prediction", prediction)}
class RequestFailed(Exception):
    """The answer was an error. status: of HTTP; document: what was answered."""

    def __init__(self, status: int, document: Any) -> None:
        message = document.get("message") if isinstance(document, dict) else None
        super().__init__(f"{{status}}: {{message or document}}")
        self.status, self.document = status, document


class {class_name(model)}Client:
    """Asks for predictions. url: of the front door; token: a bearer token."""

    def __init__(self, url: str, token: str = "", *, timeout_s: float = 10.0) -> None:
        self._url = f"{{url.rstrip('/')}}/v1/models/{{MODEL}}:predict"
        self._token, self._timeout_s = token, timeout_s

    def predict(self, rows: Sequence[Row], *, user_id: str = "", entity_id: str = "") -> list[Prediction]:
        """Return one prediction for each row. Raises RequestFailed."""
        body: dict[str, Any] = {{"instances": [_row(row) for row in rows]}}
        body |= {{key: value for key, value in (("user_id", user_id), ("entity_id", entity_id)) if value}}
        headers = {{"content-type": "application/json"}}
        if self._token:
            headers["authorization"] = f"Bearer {{self._token}}"
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
                document = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise RequestFailed(error.code, _read(error.read())) from None
        return [_prediction(one) for one in document["predictions"]]


def _row(row: Row) -> Any:
{_written(row)}

def _prediction(value: Any) -> Prediction:
{_taken(prediction)}

def _read(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
'''


def _type(name: str, shape: Shape) -> str:
    if shape.value is not None:
        return f"{name} = {_typed(shape.value, wide=name == 'Row')}\n\n"
    # A string keeps "from __future__ import annotations" from mattering: dataclasses only read the names.
    fields = "\n".join(_field(field, wide=name == "Row") for field in shape.fields)
    return f'@dataclass(frozen=True, slots=True)\nclass {name}:\n    """One {name.lower()}."""\n\n{fields}\n\n'


def _field(field: Field, *, wide: bool) -> str:
    typed = _typed(field.value, wide=wide)
    return f"    {field.name}: {typed} | None = None" if field.optional else f"    {field.name}: {typed}"


def _typed(value: Value, *, wide: bool) -> str:
    typed = _KINDS[value.kind] + (" | None" if value.nullable else "")
    for _ in range(value.depth):
        typed = f"{'Sequence' if wide else 'list'}[{typed}]"
    return typed


def _written(row: Shape) -> str:
    if row.value is not None:
        return "    return row\n"
    if row.listed:
        return "    return [" + ", ".join(f"row.{field.name}" for field in row.fields) + "]\n"
    pairs = "".join(f"        ({field.key!r}, row.{field.name}, {field.optional}),\n" for field in row.fields)
    return (
        f"    values = (\n{pairs}    )\n"
        "    return {key: value for key, value, optional in values if value is not None or not optional}\n"
    )


def _taken(prediction: Shape) -> str:
    if prediction.value is not None:
        return "    return value\n"
    pairs = ", ".join(f"{field.name}=value[{field.key!r}]" for field in prediction.fields)
    return f"    return Prediction({pairs})\n"
