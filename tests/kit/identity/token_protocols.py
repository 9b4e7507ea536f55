"""Asks every protocol of a front door about a token, and compares what it says with the table (`token_rows.py`)."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from google.rpc import error_details_pb2, status_pb2

from tests.kit.clients.refusals import rest_refusal
from tests.kit.front_door.edge import GET_MODEL, PREDICT, Edge
from tests.kit.identity.token_rows import NO_SCOPE, ROWS, Row
from tests.kit.wire.framing import frame, web_headers

INFER = "/inference.GRPCInferenceService/ModelInfer"
BODY = {"json": {"instances": [[1]]}}
INFER_BODY = {"json": {"inputs": []}}

Ask = Callable[[Edge, str], str | None]


def by_grpc(path: str, body: bytes = b"") -> Ask:
    def ask(door: Edge, authorization: str) -> str | None:
        with contextlib.suppress(AssertionError):  # it was answered
            return door.refused(path, None, body, headers={"authorization": authorization}).reason
        return None

    return ask


def _rest(method: str, path: str, **body: Any) -> Ask:
    def ask(door: Edge, authorization: str) -> str | None:
        # What HTTP/1.1 has no way to say: spaces around a header's value are its own.
        response = door.http(method, path, headers={"authorization": authorization.strip()}, **body)
        return None if response.status_code == 200 else rest_refusal(response).reason

    return ask


def _web(path: str) -> Ask:
    def ask(door: Edge, authorization: str) -> str | None:
        headers = {"authorization": authorization.strip(), **web_headers(text=False)}
        response = door.http("POST", path, content=frame(b""), headers=headers)
        encoded = response.headers.get("grpc-status-details-bin", "")
        status = status_pb2.Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
        info = error_details_pb2.ErrorInfo()
        return info.reason if any(detail.Unpack(info) for detail in status.details) else None

    return ask


# Of a service behind Envoy, and of the data plane, which is behind it (grpc.aio) or in it.
MANAGING = {
    "gRPC": by_grpc(GET_MODEL),
    "REST, transcoded": _rest("GET", "/v1/models/digits"),
    "gRPC-Web": _web(GET_MODEL),
}
PREDICTING = {
    "gRPC": by_grpc(PREDICT),
    "Open Inference Protocol": by_grpc(INFER, b"\x0a\x06digits"),
    "REST": _rest("POST", "/v1/models/digits:predict", **BODY),
    "REST, as specified": _rest("POST", "/v1/predict", **BODY),
    "Open Inference Protocol over REST": _rest("POST", "/v2/models/digits/infer", **INFER_BODY),
    "gRPC-Web": _web(PREDICT),
}


# Of every part of the table some, for protocols that ask the same filter about the token.
SOME = ROWS[::8]


def differing(door: Edge, ask: Ask, rows: Sequence[Row] = ROWS) -> dict[str, tuple[str | None, str | None]]:
    """Return the rows that a protocol judges otherwise than the table, with what it says."""
    found = {}
    for row in rows:
        said = ask(door, row.authorization(door.issuer))
        # Whoever is believed may still ask for what is not there.
        said = said if said == NO_SCOPE or (said or "").startswith(("TOKEN_", "TOO_MANY", "IDENTITY_")) else None
        if said != row.refused:
            found[row.name] = (row.refused, said)
    return found
