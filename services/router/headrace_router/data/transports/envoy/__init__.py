"""Predictions inside Envoy's process: gRPC by the filter bridge, REST by ASGI."""
