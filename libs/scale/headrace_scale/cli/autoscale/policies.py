"""`headrace autoscale policy`: how a pool is to be scaled."""

from __future__ import annotations

from pathlib import Path

import click
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, message_json, number, shown, when
from headrace_client.client import Client

from headrace_scale.cli.autoscale.pool_options import policy_of
from headrace_scale.cli.autoscale.pools import pool_argument
from headrace_scale.cli.autoscale.views import show_decision, show_remark
from headrace_scale.policies import message_of

file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
etag_option = click.option("--etag", default="", help="Refuse when the policy changed since it was read.")


@click.group()
def policy() -> None:
    """Give a pool a policy, see what it would do, see what is in force. A policy is a JSON file.

    \b
    Examples:
      headrace autoscale policy dry-run default policy.json
      headrace autoscale policy put default policy.json
    """


@policy.command()
@pool_argument
@connected
def show(client: Client, output: Output, pool: str) -> None:
    """Show the policy of POOL, every field filled in.

    \b
    Examples:
      headrace autoscale policy show default --json
    """
    found = client.pools.get_policy(pool)
    if output.as_json:
        output.document(message_json(found))
        return
    output.facts(
        [
            ("replicas", f"{found.min_replicas} to {found.max_replicas}"),
            ("targets", ", ".join(f"{one.metric} {number(one.value)}" for one in found.targets)),
            ("decides every", f"{found.interval.ToMilliseconds() / 1e3:g} s"),
            ("put", f"{when(found.update_time)} by {shown(found.updated_by)}"),
            ("etag", found.etag),
        ]
    )


@policy.command()
@pool_argument
@file_argument
@etag_option
@connected
def put(client: Client, output: Output, pool: str, file: Path, etag: str) -> None:
    """Give POOL the policy in FILE, in the place of the one it has.

    \b
    Examples:
      headrace autoscale policy put default policy.json
    """
    message = message_of(pool, policy_of(file))
    message.etag = etag
    made = client.pools.put_policy(message)
    if output.as_json:
        output.document(message_json(made))
    else:
        output.say(f"[green]in force[/] for {shown(pool)}: {made.min_replicas} to {made.max_replicas} replicas")
        show_remark(output, made)


@policy.command("dry-run")
@pool_argument
@file_argument
@connected
def dry_run(client: Client, output: Output, pool: str, file: Path) -> None:
    """Show what the policy in FILE would decide of POOL now. Nothing is changed.

    \b
    Examples:
      headrace autoscale policy dry-run default policy.json
    """
    answer = client.pools.dry_run_policy(message_of(pool, policy_of(file)))
    if output.as_json:
        output.document(message_json(answer))
    else:
        show_decision(output, answer.decision)
        show_remark(output, answer.policy)


@policy.command()
@pool_argument
@etag_option
@connected
def delete(client: Client, output: Output, pool: str, etag: str) -> None:
    """Take the policy of POOL away: it keeps the replicas that it has.

    \b
    Examples:
      headrace autoscale policy delete default
    """
    client.pools.delete_policy(pool, etag=etag)
    if output.as_json:
        output.document({"deleted": pool})
    else:
        output.say(f"{shown(pool)} is not scaled any more")
