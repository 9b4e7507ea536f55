"""What is left of requests when nobody collects garbage: cycles of objects, which only the collector frees."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Collect once, and then no more until the block ends."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def instances(*kinds: type) -> Counter[str]:
    """Return how many objects of each of these kinds exist, of those that have any."""
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in kinds)
