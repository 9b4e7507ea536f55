"""The conventional floor: a grpc.aio server under uvloop that gives every unary call the same answer at once.

Listens on the port given as its argument until it is killed.
"""

from __future__ import annotations

import sys

import grpc.aio
import uvloop

_ANSWER = bytes(64)


class Constant(grpc.GenericRpcHandler):
    """Answers any method; nothing is decoded."""

    def service(self, handler_call_details):
        async def answer(request, context):
            return _ANSWER

        return grpc.unary_unary_rpc_method_handler(answer)


async def serve(port: int) -> None:
    """Serve until killed."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Constant(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
