"""The resolved route tables in force, and how far this data plane may say that it has taken them.

Nothing here does I/O: `watch.py` feeds it, `last_known_good.py` keeps it on disk, the predictor reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from headrace.router.v1 import control_pb2

from headrace_router.data.tables.table import Table, table_of

log = structlog.get_logger()


class Tables:
    """The tables in force by model; None for a model that exists and that nothing serves.

    drained: called when the last request of a replaced table was answered, so that an acknowledgement can go out.
    """

    def __init__(self, drained: Callable[[], object] = lambda: None) -> None:
        self.by_model: dict[str, Table | None] = {}
        self.loaded = False
        self.incarnation = ""
        self.newest_generation = 0
        self._messages: dict[str, control_pb2.WatchTablesResponse] = {}
        self._retired: list[tuple[int, Table]] = []
        self._refused: dict[str, int] = {}
        self._foreign: set[str] = set()
        """Models whose table has a number of another store."""
        self._drained = drained
        self._prepare: Callable[[Table], object] = lambda table: None
        self.changing: Callable[[], object] = lambda: None
        """Called before another table takes effect, or none."""

    def prepare(self, prepare: Callable[[Table], object]) -> None:
        """Have every table prepared before it takes effect, and those now that have done so."""
        self._prepare = prepare
        for table in filter(None, self.by_model.values()):
            prepare(table)

    def answered(self, table: Table) -> None:
        """Note that a request of a table which was replaced is answered."""
        if not table.open:
            self._drained()

    def acknowledgeable(self) -> int:
        """Return the newest generation under which, or after which, every unanswered request was admitted."""
        self._retired = [(generation, table) for generation, table in self._retired if table.open]
        blocked = [generation - 1 for generation, _ in self._retired] + [g - 1 for g in self._refused.values()]
        return min([self.newest_generation, *blocked])

    def replace(self, messages: Iterable[control_pb2.WatchTablesResponse]) -> bool:
        """Take a whole snapshot whose last message ends it. Return False, changing nothing, for one that is older than
        what is in force: a control-plane replica that lags, to be asked again."""
        snapshot = list(messages)
        end = snapshot[-1]
        if end.incarnation == self.incarnation and end.newest_generation < self.newest_generation:
            return False
        named = {_model_of(message) for message in snapshot} - {""}
        for model in [model for model in self.by_model if model not in named]:
            self._remove(model, end.newest_generation)
        if end.incarnation != self.incarnation:  # numbers of another store say nothing about this one's
            self._refused.clear()
            self._retired = [(end.newest_generation, table) for _, table in self._retired]
            self._foreign = set(self.by_model)
        self.incarnation = end.incarnation
        for message in snapshot:
            self._apply(message)
        self.newest_generation = end.newest_generation
        self.loaded = True
        return True

    def change(self, message: control_pb2.WatchTablesResponse) -> None:
        """Take one change of the incarnation in force."""
        self._apply(message)
        self.newest_generation = max(self.newest_generation, message.newest_generation)

    def messages(self) -> list[control_pb2.WatchTablesResponse]:
        """Return the snapshot that would bring another process to the present state."""
        end = control_pb2.WatchTablesResponse(
            snapshot_complete=True, incarnation=self.incarnation, newest_generation=self.newest_generation
        )
        return [*self._messages.values(), end]

    def _apply(self, message: control_pb2.WatchTablesResponse) -> None:
        kind, model = message.WhichOneof("change"), _model_of(message)
        if kind is None:
            return
        if kind == "removed_model":
            self._remove(model, message.newest_generation)
            return
        if kind == "table":
            self._take(message.table)
            if self._refused.get(model) == message.table.generation:
                return
        else:
            self._retire(model, message.newest_generation)
            self.by_model[model] = None
        self._refused.pop(model, None)
        self._messages[model] = message

    def _take(self, proto: control_pb2.RouteTable) -> None:
        present = self.by_model.get(proto.model)
        if present is not None and present.generation >= proto.generation and proto.model not in self._foreign:
            return  # a snapshot repeats what is in force
        try:
            known = {served.digest: served for served in present.served_versions()} if present is not None else {}
            table = table_of(proto, known, self.incarnation)
        except ValueError as error:
            # The one before serves on; not acknowledging tells the control plane that something is wrong.
            log.error("table refused", model=proto.model, generation=proto.generation, reason=str(error))
            self._refused[proto.model] = proto.generation
            return
        self._prepare(table)
        self._retire(proto.model, proto.generation)
        self.by_model[proto.model] = table

    def _remove(self, model: str, generation: int) -> None:
        self._retire(model, generation)
        self.by_model.pop(model, None)
        self._messages.pop(model, None)
        self._refused.pop(model, None)

    def _retire(self, model: str, generation: int) -> None:
        self.changing()
        self._foreign.discard(model)
        table = self.by_model.get(model)
        if table is not None:
            table.retired = True
            if table.open:
                self._retired.append((generation, table))


def _model_of(message: control_pb2.WatchTablesResponse) -> str:
    kind = message.WhichOneof("change")
    if kind is None:
        return ""
    return message.table.model if kind == "table" else getattr(message, kind)
