"""`headrace completion`: shell completion of commands, options, models and versions."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from headrace_client.cli.options import reporting
from headrace_client.cli.output import Output


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@reporting
@click.pass_context
def completion(context: click.Context, shell: str, output: Output) -> None:
    """Print the script that completes commands, options, models and versions in SHELL.

    \b
    Examples:
      headrace completion bash >> ~/.bashrc
      headrace completion fish > ~/.config/fish/completions/headrace.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows every shell that the argument allows"
    script = kind(context.find_root().command, {}, "headrace", "_HEADRACE_COMPLETE").source()
    if output.as_json:
        output.document({"shell": shell, "script": script})
    else:
        click.echo(script)
