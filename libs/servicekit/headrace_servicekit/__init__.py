"""What every Headrace service is started, watched and stopped with.

Import the modules directly (`from headrace_servicekit.errors import NotFound`): nothing is re-exported here, so that
the data plane can use errors and identity without loading a gRPC server.
"""
