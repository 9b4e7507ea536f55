"""The `headrace` command line: what people do with models, over an address and a token."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from typing import Any

import click

from headrace_client.cli.autoscale import autoscale
from headrace_client.cli.cache import cache
from headrace_client.cli.capacity import capacity
from headrace_client.cli.completion import completion
from headrace_client.cli.console import console
from headrace_client.cli.experiments import experiments
from headrace_client.cli.explain import explain
from headrace_client.cli.failures import EXIT_CODE_HELP, FAILED, as_json
from headrace_client.cli.game_day import game_day
from headrace_client.cli.jobs import jobs
from headrace_client.cli.models import models
from headrace_client.cli.monitor import monitor
from headrace_client.cli.output import Output
from headrace_client.cli.precompute import precompute
from headrace_client.cli.predict import predict
from headrace_client.cli.rollouts import rollouts
from headrace_client.cli.routes import routes
from headrace_client.cli.schedules import schedules
from headrace_client.cli.state import apply, plan
from headrace_client.cli.status import status
from headrace_client.cli.token import token
from headrace_client.cli.usage import usage
from headrace_client.errors import Cancelled, InvalidArgument


class Commands(click.Group):
    """Answers `--json` with a document also when the command line itself is wrong, or is interrupted."""

    def main(self, args: Sequence[str] | None = None, *also: Any, **named: Any) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        if "--json" not in words or not named.get("standalone_mode", True):
            return super().main(args, *also, **named)
        try:
            code = super().main(words, *also, **{**named, "standalone_mode": False})
        except click.ClickException as error:
            Output(as_json=True).document(as_json(InvalidArgument(error.format_message(), reason="WRONG_USAGE")))
            code = error.exit_code
        except click.Abort:
            Output(as_json=True).document(as_json(Cancelled("interrupted")))
            code = FAILED
        sys.exit(code if isinstance(code, int) else 0)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named. One that stands in a group is told with its group."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            groups = [group for group in self.commands.values() if isinstance(group, click.Group)]
            full = [f"`headrace {group.name} {args[0]}`" for group in groups if args[0] in group.commands]
            if not full:
                raise
            raise click.UsageError(f"no such command '{args[0]}'; there is {', '.join(full)}", error.ctx) from None


@click.group(
    cls=Commands,
    epilog=EXIT_CODE_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(installed_version("headrace-client"), prog_name="headrace")
def main() -> None:
    """Register models, put versions into production, split traffic, predict, see what became of it.

    It needs an address (--address, HEADRACE_ADDRESS) and a token (--token-file, HEADRACE_TOKEN); in or from
    a checkout whose stack is up it finds both by itself. Every command takes --json.

    \b
    Examples:
      headrace models register digits v2 model.onnx --metric accuracy=0.97 --metric latency_p99_ms=2
      headrace routes split digits production=90 v2=10
      headrace predict digits --rows "[[0, 1, 2]]" --user ada --explain
      headrace models promote digits v2 --reason "better on sevens"
      headrace rollouts start digits v2 --watch
      headrace jobs submit fraud --input s3://headrace-scoring/in --keep id --watch
      headrace monitor drift digits v2
      headrace status
    """


main.add_command(models)
main.add_command(routes)
main.add_command(rollouts)
main.add_command(experiments)
main.add_command(game_day)
main.add_command(cache)
main.add_command(predict)
main.add_command(explain)
main.add_command(precompute)
main.add_command(jobs)
main.add_command(schedules)
main.add_command(monitor)
main.add_command(plan)
main.add_command(apply)
main.add_command(usage)
main.add_command(autoscale)
main.add_command(capacity)
main.add_command(status)
main.add_command(console)
main.add_command(token)
main.add_command(completion)
