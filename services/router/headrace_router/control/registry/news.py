"""What the registry has said and is not yet taken in: the newest word on each model, while the store is away too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.storage.store import StoredVersion


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole snapshot of the registry. is_gone: asks the registry whether a model that it did not list is gone."""

    models: frozenset[str]
    incarnation: str
    is_gone: Callable[[str], Awaitable[bool]]


class RegistryNews:
    """Filled by what follows the registry, emptied by the controller. At most one word per model is held.

    on_news: called when there is something to take in.
    """

    def __init__(self, on_news: Callable[[], None] = lambda: None) -> None:
        self.on_news = on_news
        self.listing: Listing | None = None
        self._models: dict[str, Registered | None] = {}
        self._versions: dict[str, StoredVersion] = {}

    def seen(self, registered: Registered, versions: Iterable[StoredVersion]) -> None:
        """Note what the registry says of a model."""
        self._models[registered.model] = registered
        for version in versions:
            known = self._versions.get(version.digest)
            # Word of another model's pipeline may have older settings of a version.
            if known is None or known.serving_revision <= version.serving_revision:
                self._versions[version.digest] = version
        self.on_news()

    def removed(self, model: str) -> None:
        """Note that a model no longer exists."""
        self._models[model] = None
        self.on_news()

    def listed(self, listing: Listing) -> None:
        """Note what a whole snapshot listed."""
        self.listing = listing
        self.on_news()

    def models(self) -> list[tuple[str, Registered | None]]:
        """Return the newest word on each model; None for one that no longer exists."""
        return list(self._models.items())

    def versions(self) -> list[StoredVersion]:
        """Return the versions that tables may name once the models are taken in."""
        return list(self._versions.values())

    def model_taken(self, model: str, taken: Registered | None) -> None:
        """Forget a word that is taken in, unless there is a newer one."""
        if self._models.get(model) is taken:
            self._models.pop(model, None)

    def versions_taken(self, versions: Sequence[StoredVersion]) -> None:
        """Forget versions that are stored."""
        for version in versions:
            self._versions.pop(version.digest, None)

    def listing_taken(self, listing: Listing) -> None:
        """Forget a listing, unless there is a newer one."""
        if self.listing is listing:
            self.listing = None
