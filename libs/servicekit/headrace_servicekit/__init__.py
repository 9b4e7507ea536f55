"""What every Headrace service is started, watched and stopped with.

Import the modules directly (`from headrace_servicekit.errors import NotFound`): nothing is re-exported here, so that
the data plane can use errors and identity without loading a gRPC server.
"""

import os

# gRPC reads it when it is imported, so it is set here, in the first import of every service: gRPC's fork handler
# restarts its threads in a child that is about to exec, which occasionally kills the child.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
