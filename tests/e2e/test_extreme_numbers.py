"""Every number of every public method at its extremes: taken or refused with a reason, and never a defect of ours."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message

from tests.kit.clients.methods import METHODS, path_of
from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import metadata
from tests.kit.hostile.extreme_numbers import cases, usual
from tests.kit.stack.served_models import LINEAR, Served

pytestmark = pytest.mark.long
# A call that has not ended by then hangs.
WITHIN_S = 20.0
OUR_FAULT = {"INTERNAL", "UNKNOWN", "DATA_LOSS", "DEADLINE_EXCEEDED", "UNAVAILABLE"}
# Uploads are bytes; AwaitRegistryEpoch waits for what will not come.
TRIED = [name for name, method in METHODS.items() if not method.client_streaming and name != "AwaitRegistryEpoch"]


def call(served: Served, name: str, message: Message) -> str:
    """Return how a call ends; of a stream at most its first answers are read."""
    path, bearer = path_of(name), metadata(served.stack.token())
    try:
        if METHODS[name].server_streaming:
            stream = served.channel.unary_stream(path)(message.SerializeToString(), timeout=WITHIN_S, metadata=bearer)
            for _, _answer in zip(range(10), stream, strict=False):
                pass
            stream.cancel()
        else:
            served.channel.unary_unary(path)(message.SerializeToString(), timeout=WITHIN_S, metadata=bearer)
    except grpc.RpcError as error:
        return grpc_refusal(error).code.name
    return "OK"


@pytest.mark.parametrize("name", [name for name in TRIED if any(cases(name, usual(name, LINEAR)))])
def test_no_number_of_a_request_is_a_defect_of_ours(served: Served, name: str) -> None:
    ours = [
        (ended, str(message).replace("\n", " "))
        for message in cases(name, usual(name, LINEAR))
        if (ended := call(served, name, message)) in OUR_FAULT
    ]
    assert ours == []
