"""gRPC by grpc.aio: every method of the data plane, in a process of its own or beside Envoy."""
