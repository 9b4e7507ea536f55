"""Fixtures that every test may use; each is documented where it is defined, in tests/kit."""

import gc
import os
import signal
import sys

from headrace_stack.settings import read
from hypothesis import settings

from tests.kit.models.mlserver import mlserver
from tests.kit.models.triton import triton, triton_command
from tests.kit.stack.running import no_homes_of_earlier_runs, own_stack, replicated_stack, stack
from tests.kit.stores.servers import (
    databases,
    own_postgres,
    own_url,
    postgres_server,
    postgres_url,
    s3_bucket,
    s3_server,
    second_postgres_url,
    valkey_server,
    valkey_url,
)

# How long an example takes says more of the machine than of what is tested. `--hypothesis-profile=thorough` draws more.
settings.register_profile("headrace", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("headrace")

# As the stack does for its processes, so that those which tests start take no longer than there.
os.environ.update(read().python_environment)
# This process too: to compile the tests and rewrite their assertions takes longer than all the rest of collecting them.
sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

# A shell starts what runs in its background with interrupts ignored, and what is started from there inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What was imported and collected stays to the end: the collector need not walk through all of it again and again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


__all__ = [
    "databases",
    "mlserver",
    "no_homes_of_earlier_runs",
    "own_postgres",
    "own_stack",
    "own_url",
    "postgres_server",
    "postgres_url",
    "replicated_stack",
    "s3_bucket",
    "s3_server",
    "second_postgres_url",
    "stack",
    "triton",
    "triton_command",
    "valkey_server",
    "valkey_url",
]
