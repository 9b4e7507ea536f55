"""What KServe's own clients get, as JSON: run by the Python of `.headrace/kserve-venv`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
from grpc.aio import AioRpcError
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

ROW = np.array([[0, 1, 2, 3]], np.float32)


def asked(model: str, *, binary: bool, options: bool = False) -> InferRequest:
    given = InferInput("features", list(ROW.shape), "FP32")
    given.set_data_from_numpy(ROW, binary_data=binary)
    outputs = [RequestedOutput("scores", {"binary_data": binary})] if options else None
    return InferRequest(
        model, [given], request_id="r-1", parameters={"priority": 1} if options else None, request_outputs=outputs
    )


def told(answer: Any) -> dict[str, Any]:
    (scores,) = answer.outputs
    return {
        "model": answer.model_name,
        "version": answer.model_version,
        "id": answer.id,
        "scores": scores.as_numpy().ravel().tolist(),
        "served_from": str(answer.parameters["headrace_served_from"]),
    }


async def by_rest(address: str, token: str, model: str) -> dict[str, Any]:
    url, headers = f"http://{address}", {"authorization": f"Bearer {token}"}
    found: dict[str, Any] = {}
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0)) as client:
        for name, binary, options in (("json", False, False), ("binary", True, False), ("options", True, True)):
            request = asked(model, binary=binary, options=options)
            found[name] = told(await client.infer(url, request, model_name=model, headers=dict(headers)))
        found["ready"] = [
            await client.is_server_ready(url, headers=headers),
            await client.is_server_live(url, headers=headers),
            await client.is_model_ready(url, model, headers=headers),
            await client.is_model_ready(url, "no-such-model", headers=headers),
        ]
        try:
            await client.infer(url, asked("no-such-model", binary=False), model_name="no-such-model", headers=headers)
        except httpx.HTTPStatusError as error:
            found["unknown"] = str(error)
    async with InferenceRESTClient(RESTConfig(protocol="v1", retries=0)) as client:
        instances = {"instances": ROW.tolist()}
        answer = await client.infer(url, instances, model_name=model, headers=dict(headers))
        found["v1"] = answer["predictions"]
        below = f"{url}/kserve"
        answer = await client.infer(below, instances, model_name=model, headers=dict(headers))
        found["below_kserve"] = answer["predictions"]
        found["below_kserve_ready"] = [
            await client.is_server_live(below, headers=headers),
            await client.is_model_ready(below, model, headers=headers),
        ]
        try:
            await client.is_model_ready(below, "no-such-model", headers=headers)
        except httpx.HTTPStatusError as error:
            found["below_kserve_unknown"] = str(error)
        try:
            await client.is_model_ready(below, model)
        except httpx.HTTPStatusError as error:
            found["below_kserve_without_token"] = str(error)
    return found


async def by_grpc(address: str, token: str, model: str) -> dict[str, Any]:
    headers = (("authorization", f"Bearer {token}"),)
    found: dict[str, Any] = {}
    async with InferenceGRPCClient(address, retries=2) as client:
        for name, binary in (("typed", False), ("raw", True)):
            found[name] = told(await client.infer(asked(model, binary=binary), headers=headers))
        found["ready"] = [
            await client.is_server_ready(headers=headers),
            await client.is_server_live(headers=headers),
            await client.is_model_ready(model, headers=headers),
            await client.is_model_ready("no-such-model", headers=headers),
        ]
        try:
            await client.infer(asked("no-such-model", binary=True), headers=headers)
        except AioRpcError as error:
            found["unknown"] = f"{error.code().name}: {error.details()}"
    return found


async def main() -> None:
    address, token, model = sys.argv[1:]
    both = {"rest": await by_rest(address, token, model), "grpc": await by_grpc(address, token, model)}
    sys.stdout.write(json.dumps(both))


asyncio.run(main())
