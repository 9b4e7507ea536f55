"""Enough of grpcurl for a printed line to be run where grpcurl is not installed: a unary call by server reflection.

python tests/kit/clients/grpcurl.py -plaintext -H 'name: value' -d '{"json": …}' host:port package.Service/Method
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

Metadata = tuple[tuple[str, str], ...]


def main() -> int:
    """Make the call and print the answer as JSON; a failed call prints code and message on stderr and returns 1."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-plaintext", action="store_true", required=True)
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data", default="{}")
    parser.add_argument("address")
    parser.add_argument("method")
    told = parser.parse_args()
    headers = (header.split(":", 1) for header in told.headers)
    metadata = tuple((name.strip().lower(), value.strip()) for name, value in headers)
    try:
        print(call(told.address, told.method, told.data, metadata))  # noqa: T201 the answer is the output
    except grpc.RpcError as error:
        sys.stderr.write(f"ERROR:\n  {error}\n")
        return 1
    return 0


def call(address: str, method: str, data: str, metadata: Metadata) -> str:
    """Return the answer of a unary method as JSON."""
    service, name = method.split("/")
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        described = _pool(channel, service, metadata).FindServiceByName(service).FindMethodByName(name)
        request = message_factory.GetMessageClass(described.input_type)()
        json_format.Parse(data, request)
        answer = message_factory.GetMessageClass(described.output_type)
        stub = channel.unary_unary(
            f"/{method}", request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        return json_format.MessageToJson(stub(request, metadata=metadata, timeout=20))


def _pool(channel: grpc.Channel, symbol: str, metadata: Metadata) -> descriptor_pool.DescriptorPool:
    """Return a pool with the file of a symbol and everything that it imports, as the server describes them."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    question = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    missing = [question]
    while missing:
        (answer,) = list(stub.ServerReflectionInfo(iter([missing.pop()]), metadata=metadata, timeout=20))
        for content in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(content)
            files[file.name] = file
        unknown = {name for file in files.values() for name in file.dependency} - set(files)
        missing = [reflection_pb2.ServerReflectionRequest(file_by_filename=name) for name in sorted(unknown)[:1]]
    pool = descriptor_pool.DescriptorPool()
    _add(pool, files, list(files))
    return pool


def _add(
    pool: descriptor_pool.DescriptorPool, files: dict[str, descriptor_pb2.FileDescriptorProto], names: list[str]
) -> None:
    """Add files to a pool, each after what it imports."""
    for name in names:
        file = files.pop(name, None)
        if file is not None:
            _add(pool, files, list(file.dependency))
            pool.Add(file)


if __name__ == "__main__":
    sys.exit(main())
