"""What stood at a past time, from the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace_registry.decisions.models import Action, Event, Stage


@dataclass(frozen=True, slots=True)
class Past:
    """A model at a past time.

    production: id of the version, empty when there was none; production_event put it there.
    """

    epoch: int
    production: str
    production_event: Event | None
    aliases: Mapping[str, str]
    stages: Mapping[str, Stage]


def past(last_words: Iterable[Event]) -> Past | None:
    """Return what stood after some events; None when the model did not exist then.

    last_words: of all events until that time at least the last one of each version that gave it a stage, of each alias,
    and of the model itself, in any order.
    """
    stages: dict[str, Event] = {}
    aliases: dict[str, str] = {}
    epoch, exists = 0, False
    for event in sorted(last_words, key=lambda event: (event.epoch, event.ordinal)):
        epoch, exists = event.epoch, event.action is not Action.MODEL_DELETED
        if event.to_stage is not None:
            stages[event.version] = event
        elif event.action is Action.ALIAS_SET:
            aliases[event.alias] = event.version
        elif event.action is Action.ALIAS_DELETED:
            aliases.pop(event.alias, None)
    if not exists:
        return None
    serving = next((event for event in stages.values() if event.to_stage is Stage.PRODUCTION), None)
    return Past(
        epoch,
        "" if serving is None else serving.version,
        serving,
        aliases,
        {version: event.to_stage for version, event in stages.items() if event.to_stage is not None},
    )
