"""The predictor, its codecs and the REST app are loaded inside Envoy: they must not bring a gRPC server along."""

import subprocess
import sys

import pytest

LOAD = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"asyncpg", "grpc", "redis", "uvicorn", "numpy"}))
"""


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        pytest.param("headrace_router.data.predictor", "", id="predictor"),
        pytest.param("headrace_router.data.protocols.predict", "", id="gRPC codec"),
        pytest.param("headrace_router.data.transports.rest.app", "numpy", id="REST app with the JSON codecs"),
        pytest.param("headrace_router.data.protocols.oip.catalog", "", id="catalog"),
        # All that Envoy waits for when it starts again after a crash: what is needed later is imported later.
        pytest.param("headrace_router.data.envoy_service", "grpc numpy", id="the service in Envoy"),
    ],
)
def test_what_a_module_brings_along(module, expected):
    done = subprocess.run([sys.executable, "-c", LOAD, module], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
