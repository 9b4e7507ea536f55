"""Options that say how a version is rolled out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_client.errors import HeadraceError

from headrace_release.rollout_files import STRATEGIES, read_policy

policy_option = click.option(
    "--policy",
    "policy_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File such as rollout.yaml; default the model's template, else a canary of 5, 25, 50 and 95 percent.",
)
strategy_option = click.option("--strategy", type=click.Choice(list(STRATEGIES)), help="With its defaults; no file.")


@contextlib.contextmanager
def rollout_policy(path: Path | None, strategy: str | None) -> Iterator[pb.RolloutPolicy | None]:
    """Yield the policy of a file, of a strategy, or none. Refusals within the block name the file's lines."""
    if path is None:
        name = None if strategy is None else pb.RolloutPolicy.Strategy.Name(STRATEGIES[strategy])
        yield None if name is None else pb.RolloutPolicy(strategy=name)
        return
    if strategy is not None:
        raise click.UsageError("give --policy or --strategy: a file names its strategy")
    found = read_policy(path)
    try:
        yield found.policy
    except HeadraceError as error:
        raise found.located(error) from None
