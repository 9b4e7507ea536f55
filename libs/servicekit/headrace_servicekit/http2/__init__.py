"""gRPC over HTTP/2 on the event loop itself: for the two connections that every prediction crosses.

The wire is the standard's (RFC 9113, RFC 7541, gRPC over HTTP/2), so either end may be any other gRPC implementation.
grpc.aio hands each message over between three threads, which costs 200 to 400 microseconds of it; here it is one
callback. Everything else that Headrace calls or serves stays on grpc.aio.
"""
