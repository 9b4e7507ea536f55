"""Stored answers in this process: the least recently used ones go when the bytes are used up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

# What an entry takes besides its outputs and key: objects, and its place in the dictionary. Measured: 270.
OVERHEAD_BYTES = 300


class Remembered:
    """An answer. computed_at: on the loop's clock. generation: the precomputed one that it was compared with, or is of.

    renew_from: when its next renewal may begin, on the loop's clock.
    """

    __slots__ = ("computed_at", "generation", "outputs", "renew_from", "size_bytes")

    def __init__(self, outputs: bytes, computed_at: float, generation: int, size_bytes: int) -> None:
        self.outputs, self.computed_at, self.generation, self.size_bytes = outputs, computed_at, generation, size_bytes
        self.renew_from = 0.0


class Memory:
    """A bounded dictionary of answers.

    max_bytes: of all; 0 remembers nothing. max_entry_bytes: of the outputs of one. evicted: entries that went early.
    """

    def __init__(self, max_bytes: int, max_entry_bytes: int) -> None:
        self._max_bytes, self._max_entry_bytes = max_bytes, max_entry_bytes
        self._entries: OrderedDict[Hashable, Remembered] = OrderedDict()
        self.size_bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Remembered | None:
        """Return the answer under a key, which counts as used, or None."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: Hashable, outputs: bytes, computed_at: float, generation: int, *, key_bytes: int) -> None:
        """Remember an answer, unless it is too large."""
        size = len(outputs) + key_bytes + OVERHEAD_BYTES
        self.forget(key)
        if len(outputs) > self._max_entry_bytes or size > self._max_bytes:
            return
        self._entries[key] = Remembered(outputs, computed_at, generation, size)
        self.size_bytes += size
        while self.size_bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= oldest.size_bytes
            self.evicted += 1

    def forget(self, key: Hashable) -> None:
        """Remove the answer under a key, if there is one."""
        found = self._entries.pop(key, None)
        if found is not None:
            self.size_bytes -= found.size_bytes
