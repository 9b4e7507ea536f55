"""`headrace token`: short-lived tokens from the development issuer of a local stack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from headrace_client.cli.options import reporting
from headrace_client.cli.output import Output, shown, stamp
from headrace_client.cli.values import Duration
from headrace_client.errors import PreconditionFailed
from headrace_client.issuer import MAX_LIFETIME, DevelopmentIssuer, known_scopes


@click.group(invoke_without_command=True, epilog=f"Scopes: {', '.join(known_scopes())}.")
@click.option("--subject", default="developer", show_default=True, help="Client that the token names.")
@click.option("--scope", "scopes", multiple=True, help="Scope to list; repeat. Default all.")
@click.option("--models", help="Patterns of models, with commas; default all models.")
@click.option("--ttl", type=Duration(), default=MAX_LIFETIME, show_default="15m", help="Lifetime, at most 15m.")
@reporting
@click.pass_context
def token(
    context: click.Context,
    output: Output,
    subject: str,
    scopes: tuple[str, ...],
    models: str | None,
    ttl: timedelta,
) -> None:
    """Print a token of the local stack's development issuer, whose keys `make up` creates.

    The keys are found in .headrace/identity from here upward, in that of the checkout whose `headrace` this is, or in
    HEADRACE_IDENTITY_DIR.

    \b
    Examples:
      headrace token
      headrace token --subject ci --scope predict --models "digits,fraud-*" --ttl 5m
      headrace token deny mallory
    """
    if context.invoked_subcommand is not None:
        return
    known(scopes)
    now = datetime.now(UTC)
    patterns = None if models is None else [part.strip() for part in models.split(",") if part.strip()]
    minted = development_issuer().mint(subject=subject, now=now, scopes=scopes or None, models=patterns, lifetime=ttl)
    if not output.as_json:
        click.echo(minted)
        return
    output.document(
        {
            "token": minted,
            "subject": subject,
            "scopes": list(scopes or known_scopes()),
            "models": patterns,
            "expire_time": stamp(now + ttl),
        }
    )


@token.command()
@click.argument("subject")
@reporting
def deny(output: Output, subject: str) -> None:
    """Refuse all tokens of SUBJECT; in force within 5 seconds.

    \b
    Examples:
      headrace token deny mallory
    """
    _show_denied(output, development_issuer().deny(subject))


@token.command()
@click.argument("subject")
@reporting
def allow(output: Output, subject: str) -> None:
    """Take SUBJECT off the deny list.

    \b
    Examples:
      headrace token allow mallory
    """
    _show_denied(output, development_issuer().allow(subject))


@token.command()
@reporting
def denied(output: Output) -> None:
    """List the subjects whose tokens are refused.

    \b
    Examples:
      headrace token denied --json
    """
    _show_denied(output, development_issuer().denied())


def _show_denied(output: Output, subjects: list[str]) -> None:
    if output.as_json:
        output.document({"denied": subjects})
    else:
        output.say("denied: " + (shown(", ".join(subjects)) or "nobody"))


def known(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return scopes that RPCs ask for. Raises click.BadParameter naming those that none asks for."""
    if unknown := sorted(set(scopes) - set(known_scopes())):
        raise click.BadParameter(
            f"{', '.join(unknown)}: no RPC asks for it; known: {', '.join(known_scopes())}", param_hint="--scope"
        )
    return scopes


def development_issuer() -> DevelopmentIssuer:
    """Return the issuer of the local stack. Raises PreconditionFailed where there is none."""
    issuer = DevelopmentIssuer.find()
    if issuer is None:
        raise PreconditionFailed(
            "no development issuer here: run the `headrace` of a checkout after `make up`, or set "
            "HEADRACE_IDENTITY_DIR; production tokens come from your own issuer",
            reason="NO_DEVELOPMENT_ISSUER",
        )
    return issuer
