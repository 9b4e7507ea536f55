"""The history of models, whose heads are kept in the bucket of artifacts, under names of their own."""

from __future__ import annotations

from headrace_servicekit.postgres.history import History

HISTORY = History("model", ("epoch", "ordinal"), "headrace_registry.storage.sql", "models")
