"""Which tests run when."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long runs of the state machine to `make test-faults`: `make test` has the short one."""
    if "faults" in (config.option.markexpr or ""):
        return
    long = [item for item in items if item.name.startswith("test_control_planes_for_thousands_of_steps")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
