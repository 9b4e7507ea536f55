"""Marks contracts on what starts a process (a store, Envoy, a model server) `real`, and the others `in_memory`."""

import pytest

# Of the fixtures that start one, and of the parameters that name them or the store or server behind a rig.
_STARTED = (
    "Envoy",
    "mlserver",
    "onnxruntime",  # the process that loads models
    "postgres_",
    "s3",
    "shared_mlserver",
    "shared_simulator",
    "shared_triton",
    "simulator",
    "triton",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    if not isinstance(item, pytest.Function):
        return
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    names = [*item.fixturenames, *(value for value in parameters if isinstance(value, str))]
    item.add_marker("real" if any(name.startswith(_STARTED) for name in names) else "in_memory")
