"""How calls reach the predictor, and how their answers leave: Envoy, grpc.aio and REST."""
