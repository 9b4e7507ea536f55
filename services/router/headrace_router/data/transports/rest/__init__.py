"""REST as an ASGI app, in Envoy's process or on uvicorn."""
