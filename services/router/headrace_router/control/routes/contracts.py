"""The contracts of versions that are known here, and whether fallbacks fit them."""

from __future__ import annotations

from headrace_servicekit.errors import FieldViolation, Unavailable

from headrace_router.control.decisions.resolve import Resolution, Unresolved, resolve
from headrace_router.control.decisions.routes import Route
from headrace_router.control.decisions.version_fit import fallback_violations
from headrace_router.control.messages.lookups import contract_of
from headrace_router.control.state.view import View
from headrace_router.control.storage.store import Store


class Contracts:
    """Reads what is not known here; a control plane that started without the registry knows only what is in force."""

    def __init__(self, view: View, store: Store) -> None:
        self._view, self._store = view, store

    async def learn(self, route: Route) -> None:
        """Read the versions that a route names, when it has fallbacks. Raises Unavailable."""
        state = self._view.mirror.state(route.model)
        resolved = resolve(route, state.registered) if state is not None and route.fallback else None
        if resolved is None or isinstance(resolved, Unresolved):
            return
        missing = sorted(_digests(resolved) - self._view.mirror.versions.keys())
        if missing:
            self._view.mirror.add_versions(await self._store.versions(missing))

    def fits(self, route: Route, resolved: Resolution) -> list[FieldViolation]:
        """Return what keeps the fallbacks of a route from standing for what its variants serve. Raises Unavailable."""
        if not route.fallback:
            return []
        known = self._view.mirror.versions
        if not _digests(resolved) <= known.keys():
            raise Unavailable("a version was registered just now", reason="MODEL_CHANGED", retry_after_s=0.1)
        return fallback_violations(
            route.fallback, resolved, {digest: contract_of(known[digest]) for digest in _digests(resolved)}
        )


def _digests(resolved: Resolution) -> set[str]:
    return {one.digest for one in (*resolved.variants, *resolved.backups) if one.digest}
