"""Commands that a text tells somebody to type, held against the command line without being run."""

from __future__ import annotations

import shlex
from itertools import pairwise

import click
from headrace_client.cli import main


def check(command: str, *, whole: bool = True) -> None:
    """Raise click.UsageError where the command line has no such command, option, or place for a word.

    whole: whether every argument that it needs is there as well; a sentence may only name a command. `…` is any words.
    """
    at: click.Command = main
    context = click.Context(main, info_name="headrace")
    said = shlex.split(command)
    # Behind an option `…` is its value.
    words = [word for before, word in pairwise(said) if word != "…" or before.startswith("--")]
    while isinstance(at, click.Group) and words and not words[0].startswith("-"):
        _, found, words = at.resolve_command(context, words)
        assert found is not None
        at, context = found, click.Context(found, info_name=found.name, parent=context)
    if "--help" in words:
        words, whole = [word for word in words if word != "--help"], False
    values, too_many, _ = at.make_parser(context).parse_args(words)
    if too_many:
        raise click.UsageError(f"takes no {too_many}", context)
    if whole and isinstance(at, click.Group):
        raise click.UsageError("is a group of commands", context)
    for one in at.params:
        given = values.get(one.name or "")
        if (
            whole
            and one.required
            and isinstance(one, click.Argument)
            and not (isinstance(given, str | tuple) and given)
        ):
            raise click.UsageError(f"lacks {one.make_metavar(context)}", context)
