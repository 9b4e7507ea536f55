"""The `headrace` command line: what people do with models, over an address and a token."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from typing import Any

import click

from headrace_client.cli.discovery import Discovered
from headrace_client.cli.failures import EXIT_CODE_HELP, FAILED, as_json
from headrace_client.cli.output import Output
from headrace_client.errors import Cancelled, InvalidArgument


class Commands(Discovered):
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
        """Return the command of that name. For a command in a group the error names the group."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            all_there_are = [self.get_command(ctx, name) for name in self.list_commands(ctx)]
            groups = [group for group in all_there_are if isinstance(group, click.Group)]
            full = [f"`headrace {group.name} {args[0]}`" for group in groups if args[0] in group.list_commands(ctx)]
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
