"""Systems that jobs may read rows from, as the operator declares them in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from headrace_scorer.decisions.specs import Source
from headrace_scorer.engine.messages import SourceAccess

POSTGRESQL, ICEBERG = "postgresql", "iceberg"
_URIS = ("postgresql://", "postgres://")
_FILE = TypeAdapter(dict[str, SourceAccess])


class SourceUnusable(Exception):
    """A job cannot read from a source. transient: that may change without anybody changing the job."""

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


def access_of(source: Source, file: Path | None) -> SourceAccess:
    """Return how a source is reached, by the file as it is now. Raises SourceUnusable."""
    declared = _declared(file)
    found = declared.get(source.name)
    if found is None:
        there = f"there are {', '.join(sorted(declared))}" if declared else "none is"
        raise SourceUnusable(f"source '{source.name}' is not declared: {there} (SCORER_SOURCES_FILE)")
    if found.type not in (POSTGRESQL, ICEBERG):
        message = f"source '{source.name}' is of type '{found.type}', and there are {POSTGRESQL} and {ICEBERG}"
        raise SourceUnusable(f"{message}: correct it in SCORER_SOURCES_FILE")
    if found.type == POSTGRESQL and not found.uri.startswith(_URIS):
        message = f"the uri of source '{source.name}' does not begin with {_URIS[0]}"
        raise SourceUnusable(f"{message}: correct it in SCORER_SOURCES_FILE")
    if (found.type == ICEBERG) != bool(source.table):
        wanted = "a table" if found.type == ICEBERG else "a query"
        raise SourceUnusable(f"source '{source.name}' is of type {found.type}: give {wanted}")
    return found


def _declared(file: Path | None) -> Mapping[str, SourceAccess]:
    if file is None:
        return {}
    try:
        return _FILE.validate_json(file.read_bytes())
    except OSError as error:
        raise SourceUnusable(
            f"the scorer's file of sources cannot be read ({error.strerror})", transient=True
        ) from None
    except ValidationError as error:  # whose text has values, passwords among them
        where = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
        message = f"the scorer's file of sources is not as it has to be (at '{where}')"
        raise SourceUnusable(f"{message}: correct SCORER_SOURCES_FILE", transient=True) from None
