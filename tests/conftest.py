"""Fixtures that every test may use; each is documented where it is defined, in tests/kit."""

from tests.kit.mlserver import mlserver
from tests.kit.stack import no_homes_of_earlier_runs, own_stack, replicated_stack, stack
from tests.kit.stores import postgres_server, postgres_url, s3_bucket, s3_server, valkey_server, valkey_url
from tests.kit.triton import triton, triton_command

__all__ = [
    "mlserver",
    "no_homes_of_earlier_runs",
    "own_stack",
    "postgres_server",
    "postgres_url",
    "replicated_stack",
    "s3_bucket",
    "s3_server",
    "stack",
    "triton",
    "triton_command",
    "valkey_server",
    "valkey_url",
]
