"""Which stored answers of a version may be read: its cache epoch, and which generation of precomputed answers counts.

Both belong to the version, not to a route: a table takes the present values of its versions when it takes effect, and
a change of them is a new generation of the table in force. A generation of precomputed answers has a number above those
of the version before it, given when its publish begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from headrace_servicekit.errors import Aborted, PreconditionFailed

# Generations that reverts can go back through; older ones count as removed.
MAX_EARLIER = 16


@dataclass(frozen=True, slots=True)
class Origin:
    """What computed a generation of answers. run: its name. manifest: digest of its manifest. Empty where unknown."""

    run: str = ""
    manifest: str = ""


UNKNOWN_ORIGIN = Origin()


@dataclass(frozen=True, slots=True)
class Precomputed:
    """A committed generation of precomputed answers. expires_at: when they stop counting; None for never."""

    generation: int
    committed_at: datetime
    expires_at: datetime | None = None
    origin: Origin = UNKNOWN_ORIGIN


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """What data planes receive of a version. precomputed_generation: 0 for none."""

    cache_epoch: int = 0
    precomputed_generation: int = 0
    expires_at: datetime | None = None
    origin: Origin = UNKNOWN_ORIGIN


@dataclass(frozen=True, slots=True)
class AnswerState:
    """The stored answers of a version.

    precomputed: the generation that counts. earlier: those before it that a revert can go back to, the oldest first.
    earlier_removed: there was an older one, and its answers are gone. newest: highest number ever committed. reverted:
    number that was given up last; 0 for none.
    """

    cache_epoch: int = 0
    precomputed: Precomputed | None = None
    earlier: tuple[Precomputed, ...] = ()
    earlier_removed: bool = False
    newest: int = 0
    reverted: int = 0

    @property
    def generation(self) -> int:
        """Return the number of the generation that counts; 0 for none."""
        return self.precomputed.generation if self.precomputed is not None else 0

    @property
    def previous(self) -> Precomputed | None:
        """Return the generation that a revert returns to, if any."""
        return self.earlier[-1] if self.earlier else None

    @property
    def answers(self) -> StoredAnswers:
        """Return what data planes receive."""
        if self.precomputed is None:
            return StoredAnswers(self.cache_epoch)
        return StoredAnswers(self.cache_epoch, self.generation, self.precomputed.expires_at, self.precomputed.origin)


NOTHING = AnswerState()


def purged(kept: AnswerState) -> AnswerState:
    """Return the state once every cached answer is void."""
    return replace(kept, cache_epoch=kept.cache_epoch + 1)


def committed(kept: AnswerState, new: Precomputed, *, expected: int) -> AnswerState:
    """Return the state once a publish counts; unchanged when it counts already.

    expected: the generation that counted when the publish began. Raises Aborted, reason PUBLISH_OVERTAKEN.
    """
    if new.generation == kept.generation:
        return kept
    if kept.generation != expected or new.generation <= kept.newest:
        counts = f"generation {kept.generation} counts" if kept.generation else "none counts"
        raise Aborted(
            f"generation {new.generation} began when {expected or 'none'} counted; by now {counts} "
            f"and {kept.newest} was committed last: publish again",
            reason="PUBLISH_OVERTAKEN",
            metadata={"generation": str(kept.generation)},
        )
    earlier = (*kept.earlier, kept.precomputed) if kept.precomputed is not None else kept.earlier
    return replace(
        kept,
        precomputed=new,
        earlier=earlier[-MAX_EARLIER:],
        earlier_removed=kept.earlier_removed or len(earlier) > MAX_EARLIER,
        newest=new.generation,
    )


def reverted(kept: AnswerState, *, expected: int) -> AnswerState:
    """Return the state once the generation before the present one counts again; unchanged when that was done.

    expected: the generation that is to be given up, 0 for the one that counts. Raises PreconditionFailed, reason
    NOTHING_TO_REVERT, and Aborted, reason PUBLISH_OVERTAKEN, when another one counts.
    """
    if expected and expected != kept.generation:
        if expected == kept.reverted:
            return kept
        raise Aborted(
            f"generation {expected} is not the one that counts: {kept.generation or 'none'} is",
            reason="PUBLISH_OVERTAKEN",
            metadata={"generation": str(kept.generation)},
        )
    if kept.precomputed is None:
        raise PreconditionFailed("no precomputed answers count", reason="NOTHING_TO_REVERT")
    if not kept.earlier and kept.earlier_removed:
        raise PreconditionFailed(
            f"the answers before generation {kept.generation} are removed: publish them again",
            reason="NOTHING_TO_REVERT",
        )
    return replace(kept, precomputed=kept.previous, earlier=kept.earlier[:-1], reverted=kept.generation)


def removed_up_to(kept: AnswerState, generation: int) -> AnswerState:
    """Return the state once no revert may go back to a generation or to one before it: their answers are removed."""
    left = tuple(one for one in kept.earlier if one.generation > generation)
    return replace(kept, earlier=left, earlier_removed=True) if left != kept.earlier else kept


def received_of(kept: Mapping[str, AnswerState], digests: Iterable[str]) -> dict[str, StoredAnswers]:
    """Return what data planes receive of versions, by digest; without those of which nothing is stored."""
    return {digest: kept[digest].answers for digest in sorted(set(digests) & kept.keys())}
