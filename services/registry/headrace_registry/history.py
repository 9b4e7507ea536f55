"""Whether the history of models is what was written: each line has a digest of itself and of the line before it.

Who can change a line in the database can change those that follow, and take the last ones away. Neither can be hidden
from whoever kept the heads of an earlier time elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headrace_servicekit.commands import CommandError
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

_SQL = load_queries("headrace_registry.storage.sql")

LONG_S = 3600.0
_FORMAT = 1


class Head(NamedTuple):
    """The last line of a model's history. chain: its digest, in hexadecimal."""

    epoch: int
    ordinal: int
    chain: str


class BrokenLine(NamedTuple):
    """A line that is not what was written, or is gone."""

    model: str
    epoch: int
    ordinal: int
    reason: str


class Verified(NamedTuple):
    """What was found. broken: the first line of each model that does not fit, and heads of before that are gone."""

    lines: int
    heads: Mapping[str, Head]
    broken: list[BrokenLine]


async def verify(connections: Connections, since: Mapping[str, Head] | None = None) -> Verified:
    """Look through all lines, of one moment. since: heads of an earlier time, which have to be there still."""
    async with connections.alone() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("set local statement_timeout = 0", timeout=LONG_S)
        lines = await connection.fetchval("select count(*) from events", timeout=LONG_S)
        misfits = await connection.fetch(_SQL["misfits"], timeout=LONG_S)
        heads = {row["model"]: _head(row) for row in await connection.fetch(_SQL["heads"], timeout=LONG_S)}
        broken = [BrokenLine(row["model"], row["epoch"], row["ordinal"], "CHANGED") for row in misfits]
        for model, head in (since or {}).items():
            found = await connection.fetchval(_SQL["chain_at"], model, head.epoch, head.ordinal)
            if found is None:
                broken.append(BrokenLine(model, head.epoch, head.ordinal, "GONE"))
            elif found.hex() != head.chain:
                broken.append(BrokenLine(model, head.epoch, head.ordinal, "REWRITTEN"))
    return Verified(lines, heads, broken)


def _head(row: Any) -> Head:
    return Head(row["epoch"], row["ordinal"], row["chain"].hex())


def write_heads(path: Path, heads: Mapping[str, Head]) -> None:
    """Write heads to be kept elsewhere. Raises CommandError."""
    document = {"format": _FORMAT, "heads": {model: head._asdict() for model, head in sorted(heads.items())}}
    try:
        # Beside it first: the file may be that of `--since`, which is all that there is to compare with.
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from None


def read_heads(path: Path) -> dict[str, Head]:
    """Return heads that were written. Raises CommandError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']} is not known here")
        return {
            str(model): Head(int(one["epoch"]), int(one["ordinal"]), str(one["chain"]))
            for model, one in document["heads"].items()
        }
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise CommandError(f"{path} is not what `verify --out` writes: {error!r}") from None
