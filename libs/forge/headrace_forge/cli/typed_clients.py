"""`headrace models client` and `openapi`: typed access to one model, written from its contract."""

from __future__ import annotations

from pathlib import Path

import click
from headrace_client.cli.options import complete_model, connected
from headrace_client.cli.output import Output, shown
from headrace_client.client import Client
from headrace_client.errors import PreconditionFailed

from headrace_forge.typed import python, typescript

_LANGUAGES = {"python": python.source, "typescript": typescript.source}


@click.command("client")
@click.argument("model", metavar="MODEL[@VERSION]", shell_complete=complete_model)
@click.option("--lang", "language", type=click.Choice(list(_LANGUAGES)), required=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; default stdout.")
@connected
def typed_client(client: Client, output: Output, model: str, language: str, out: Path | None) -> None:
    """Write a small typed client of MODEL, with the names and types of its inputs and outputs.

    The contract is that of the version in production, or of the one that is named. The client needs nothing but the
    language's own library. GET /v1/models/MODEL/openapi.json describes the same for other languages.

    \b
    Examples:
      headrace models client churn --lang python --out churn_client.py
      headrace models client churn@v3 --lang typescript --out churnClient.ts
    """
    name, _, version = model.partition("@")
    if not version:
        version = client.models.get(name).production_version
    if not version:
        raise PreconditionFailed(
            f"no version of '{name}' is in production: name one as {name}@VERSION", reason="NOTHING_IN_PRODUCTION"
        )
    text = _LANGUAGES[language](client.versions.get(name, version))
    if out is not None:
        out.write_text(text, encoding="utf-8")
    if output.as_json:
        output.document({"model": name, "version": version, "file": str(out or ""), "source": text})
    elif out is None:
        click.echo(text, nl=False)
    else:
        output.say(f"[green]written[/] {shown(str(out))}: {name} {version}")
