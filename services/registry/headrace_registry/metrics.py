"""What the registry counts. Labels are stages, types and gRPC codes: never a name that a caller chose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headrace_servicekit.errors import ServiceError
from headrace_servicekit.outbox.wiring import delivery_counter
from prometheus_client import CollectorRegistry, Counter, Gauge

from headrace_registry.decisions.files import ArtifactType
from headrace_registry.decisions.models import Stage


class Metrics:
    """The registry's own instruments; RPCs are counted by the service kit."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._moves = Counter(
            "registry_stage_moves", "Asked moves of versions, by target.", ("to_stage", "code"), registry=registry
        )
        self._overrides = Counter(
            "registry_approvals_overridden", "Promotions in an emergency.", ("code",), registry=registry
        )
        self._overrides.labels("OK")  # an alert is of its growth, which begins at a value that was seen
        self.delivery = delivery_counter(registry, "registry")
        self._rollbacks = Counter("registry_rollbacks", "Asked rollbacks.", ("code",), registry=registry)
        self._uploads = Counter("registry_uploads", "Uploads that ended.", ("type", "code"), registry=registry)
        self._upload_bytes = Counter("registry_upload_bytes", "Bytes of stored uploads.", registry=registry)
        self._retired = Counter(
            "registry_versions_retired", "Versions archived or given up by age.", ("what",), registry=registry
        )
        self._removed = Counter("registry_files_removed", "Files that nothing needed.", registry=registry)
        self._removed_bytes = Counter(
            "registry_removed_bytes", "Bytes of files that nothing needed.", registry=registry
        )
        self._watches = Gauge("registry_watches", "Open watches.", registry=registry)
        self._active_uploads = Gauge("registry_uploads_active", "Uploads in progress.", registry=registry)

    def follow(self, *, watches: Callable[[], float], uploads: Callable[[], float]) -> None:
        """Read the gauges from these functions whenever they are asked for."""
        self._watches.set_function(watches)
        self._active_uploads.set_function(uploads)

    @contextmanager
    def move(self, target: Stage) -> Iterator[None]:
        """Count one move to a stage, however it ends."""
        with _counted(lambda code: self._moves.labels(target.value, code).inc()):
            yield

    @contextmanager
    def overriding(self) -> Iterator[None]:
        """Count one promotion without the approvals that are asked for, however it ends."""
        with _counted(lambda code: self._overrides.labels(code).inc()):
            yield

    @contextmanager
    def rollback(self) -> Iterator[None]:
        """Count one rollback, however it ends."""
        with _counted(lambda code: self._rollbacks.labels(code).inc()):
            yield

    @contextmanager
    def upload(self, kind: ArtifactType) -> Iterator[None]:
        """Count one upload, however it ends."""
        with _counted(lambda code: self._uploads.labels(kind.value, code).inc()):
            yield

    def collected(self, archived: int, given_up: int, files: int, size_bytes: int) -> None:
        """Count what a pass of collection did."""
        self._retired.labels("archived").inc(archived)
        self._retired.labels("given_up").inc(given_up)
        self._removed.inc(files)
        self._removed_bytes.inc(size_bytes)

    def stored(self, size_bytes: int) -> None:
        """Count the bytes of an upload that ended well."""
        self._upload_bytes.inc(size_bytes)


@contextmanager
def _counted(count: Callable[[str], None]) -> Iterator[None]:
    code = "CANCELLED"
    try:
        yield
        code = "OK"
    except ServiceError as error:
        code = error.code.name
        raise
    except Exception:
        code = "INTERNAL"
        raise
    finally:
        count(code)
