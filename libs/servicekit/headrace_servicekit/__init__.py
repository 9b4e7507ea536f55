"""What every Headrace service is started, watched and stopped with.

Import the modules directly (`from headrace_servicekit.errors import NotFound`): nothing is re-exported here, so that
the data plane can use errors and identity without loading a gRPC server.
"""

import os

# gRPC reads it when it is imported, which is why it is here, and every service imports this first: gRPC's handler of
# forks starts its threads anew in a child that is about to become another program, and now and then that dies of it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
