"""`headrace console`: the console of a local stack in a browser, signed in by a link that is good once."""

from __future__ import annotations

import os
import urllib.parse
import webbrowser
from datetime import UTC, datetime

import click

from headrace_client.address import parse_address
from headrace_client.cli.options import reporting
from headrace_client.cli.output import Output, shown
from headrace_client.cli.token import development_issuer, known
from headrace_client.local_stack import default_address


@click.command()
@click.argument("page", default="")
@click.option("--subject", default="developer", show_default=True, help="Who signs in.")
@click.option("--scope", "scopes", multiple=True, help="Scope to have there; repeat. Default all.")
@click.option("--models", help="Patterns of models, with commas; default all models.")
@click.option(
    "--url",
    envvar="HEADRACE_CONSOLE_URL",
    show_envvar=True,
    help="Where browsers reach the front door, where that is not the address of calls.",
)
@click.option("--no-browser", is_flag=True, help="Print the link, and open nothing.")
@reporting
def console(
    output: Output,
    page: str,
    subject: str,
    scopes: tuple[str, ...],
    models: str | None,
    url: str | None,
    no_browser: bool,
) -> None:
    """Open the console of a local stack in a browser, at its first page or at PAGE.

    The link signs in once, and within a minute. In production people sign in at their own provider: open
    /console/ at the front door.

    \b
    Examples:
      headrace console
      headrace console models/digits
      headrace console --subject auditor --scope registry.read --no-browser
    """
    patterns = None if models is None else [part.strip() for part in models.split(",") if part.strip()]
    link = development_issuer().console_link(
        subject=subject, now=datetime.now(UTC), scopes=known(scopes) or None, models=patterns
    )
    front_door = parse_address(url or default_address()).url
    asked = urllib.parse.urlencode({"link": link, "then": f"/console/{page.removeprefix('/console/').lstrip('/')}"})
    page_url = f"{front_door}/console/sign-in/link?{asked}"
    opened = not no_browser and _has_display() and webbrowser.open(page_url)
    if output.as_json:
        output.document({"url": page_url, "opened": opened})
    elif opened:
        output.say(f"opened {front_door}/console/ as {shown(subject)}")
    else:
        click.echo(page_url)


def _has_display() -> bool:
    """Return whether a browser would be seen: one of a terminal takes the terminal away."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.uname().sysname == "Darwin")
