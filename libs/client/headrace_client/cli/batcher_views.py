"""Batchers as rows that people read."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.router.v1 import route_pb2

from headrace_client.cli.output import Output, number, shown

_States = route_pb2.BatcherVersion
_STYLES = {"ready": "green", "failed": "red"}


def show_batchers(output: Output, batchers: Iterable[route_pb2.Batcher]) -> None:
    """Show each batcher: what it holds ready, how busy it is, how long its loads took, and what is not ready."""
    output.table(
        ("pool", "batcher", "state", "ready", "rows", "predicted wait", "longest load", "not ready"),
        [
            (
                one.pool,
                shown(one.address),
                _styled(state(one)),
                _ready(one),
                str(one.load.rows) if one.HasField("load") else "-",
                f"{number(one.load.predicted_wait.ToMicroseconds() / 1e3)} ms" if one.HasField("load") else "-",
                _longest_load(one),
                "; ".join(_waits(version) for version in _not_ready(one)) or "-",
            )
            for one in batchers
        ],
    )


def state(batcher: route_pb2.Batcher) -> str:
    """Return how a batcher is in one word: `draining`, `failed`, `loading` or `ready`."""
    if batcher.draining:
        return "draining"
    states = {version.state for version in _not_ready(batcher)}
    if _States.STATE_FAILED in states:
        return "failed"
    return "loading" if states else "ready"


def _styled(word: str) -> str:
    return f"[{_STYLES.get(word, 'yellow')}]{word}[/]"


def _ready(batcher: route_pb2.Batcher) -> str:
    wanted = [version for version in batcher.versions if version.wanted]
    ready = sum(version.state == _States.STATE_READY for version in wanted)
    return f"{ready} of {len(wanted)}"


def _longest_load(batcher: route_pb2.Batcher) -> str:
    loads = [one.load_duration.ToMilliseconds() / 1e3 for one in batcher.versions if one.HasField("load_duration")]
    return f"{number(max(loads))} s" if loads else "-"


def _not_ready(batcher: route_pb2.Batcher) -> list[route_pb2.BatcherVersion]:
    return [one for one in batcher.versions if one.wanted and one.state != _States.STATE_READY]


def _waits(version: route_pb2.BatcherVersion) -> str:
    """Return how far a version is, and why."""
    word = _States.State.Name(version.state).removeprefix("STATE_").lower()
    why = f" ({version.reason})" if version.reason else ""
    return shown(f"{version.model}/{version.version} {word}{why}")
