"""Options of every command (address, credentials, output format), and its exit on failure."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from headrace_client.cli.failures import as_block, as_json, exit_code
from headrace_client.cli.output import Output
from headrace_client.cli.values import Duration, Moment
from headrace_client.client import Client
from headrace_client.errors import HeadraceError, NotFound
from headrace_client.tokens import from_file

Command = Callable[..., Any]


def reporting(function: Command) -> Command:
    """Give a command `output` from --json, and end it with one readable block when it raises a HeadraceError."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else.")
    @functools.wraps(function)
    def command(*args: Any, as_json: bool, **kwargs: Any) -> Any:
        output = Output(as_json=as_json)
        context = click.get_current_context()
        try:
            return function(*args, output=output, **kwargs)
        except HeadraceError as error:
            report(output, error, context.command_path, **spoken_of(context.params))
            context.exit(exit_code(error))

    return command


def connected(function: Command) -> Command:
    """Give a command `client` from --address, --token-file and --ca, and what `reporting` gives."""

    @click.option(
        "--address",
        metavar="HOST:PORT|URL",
        help="Front door; default HEADRACE_ADDRESS, else the local stack's, else 127.0.0.1:8080.",
    )
    @click.option(
        "--token-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File with the token; default HEADRACE_TOKEN, HEADRACE_TOKEN_FILE, else the local stack's issuer.",
    )
    @click.option(
        "--ca",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="HEADRACE_CA",
        help="Authorities to trust (PEM); turns TLS on.",
    )
    @reporting
    @functools.wraps(function)
    def command(*args: Any, address: str | None, token_file: Path | None, ca: Path | None, **kwargs: Any) -> Any:
        token = None if token_file is None else from_file(token_file)
        with Client(address, token=token, ca=ca) as client:
            try:
                return function(*args, client=client, **kwargs)
            except NotFound as error:
                error.message += _similar(client, error.reason, **spoken_of(click.get_current_context().params))
                raise

    return command


def _similar(client: Client, reason: str, model: str, version: str, job: str) -> str:
    """Return the name that the caller may have meant, as a question; empty where there is none that is close."""
    try:
        if reason == "MODEL_NOT_FOUND":
            wanted, known = model, [one.name for one in client.models.list(timeout=1.0)]
        elif reason == "VERSION_NOT_FOUND":
            wanted, known = version, [one.name for one in client.versions.list(model, timeout=1.0)]
        else:
            return ""
    except HeadraceError:
        return ""
    close = difflib.get_close_matches(wanted, [name.split("/")[-1] for name in known], n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def spoken_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the model, the job and the version that a command names, as far as it does.

    >>> spoken_of({"job": "digits/7"})
    {'model': 'digits', 'job': '7', 'version': ''}
    """
    named = next((str(params[one]) for one in ("model", "rollout", "job", "schedule") if params.get(one)), "")
    model, _, rest = named.partition("/")
    version = params.get("version")
    return {
        "model": model.partition("@")[0],
        "job": rest if params.get("job") else "",
        "version": version if isinstance(version, str) else "",
    }


def report(
    output: Output, error: HeadraceError, command_path: str, model: str, job: str = "", version: str = ""
) -> None:
    """Print a failure: the block on stderr, or the document on stdout. model and more: that the command names."""
    if output.as_json:
        output.document(as_json(error, model, job, version))
    else:
        output.stderr.print(as_block(error, command_path, model, job, version))


def span_options(default: str) -> Callable[[Command], Command]:
    """Give a command `since` and `until`. default: what it is about without them, in words."""

    def decorate(function: Command) -> Command:
        until = click.option(
            "--until", type=Moment(), help="End, such as 2031-02-03T04:05:06Z or 2h (ago); default now."
        )
        since = click.option("--since", type=Moment(), help=f"Begin, such as 1h (ago) or a time; default {default}.")
        return since(until(function))

    return decorate


def reason_option(function: Command) -> Command:
    """Add --reason, kept in the history."""
    return click.option("--reason", default="", help="Why, for the history.")(function)


def request_id_option(function: Command) -> Command:
    """Add --request-id, by which a script repeats a write safely."""
    return click.option(
        "--request-id", default="", help="Makes the write repeatable: the same id returns the first answer."
    )(function)


def signature_option(function: Command) -> Command:
    """Add --signature, for registries with a signing policy."""
    return click.option(
        "--signature",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Signature of the version's files by OpenSSF model signing, as `headrace models sign` writes it.",
    )(function)


def accept_difference_option(function: Command) -> Command:
    """Add --accept-difference, for a version whose answers differ from its expected outputs on purpose."""
    return click.option(
        "--accept-difference",
        is_flag=True,
        help="Take a model whose answers differ from the expected outputs in validation.json; it is recorded.",
    )(function)


def force_option(function: Command) -> Command:
    """Add --force, by which a person takes a route from what manages it."""
    return click.option("--force", is_flag=True, help="Take the route from the rollout or experiment that manages it.")(
        function
    )


normalise_option = click.option(
    "--normalise", is_flag=True, help="Scale the shares to 100; without, shares that do not sum to 100 are refused."
)

timeout_option = click.option(
    "--timeout",
    type=Duration(),
    default=timedelta(seconds=150),
    show_default="150s",
    help="How long to wait until it is in force.",
)


def complete_model(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete a model's name from the registry; nothing when it does not answer within a second."""
    try:
        with Client() as client:
            names = [model.name.split("/")[-1] for model in client.models.list(timeout=1.0)]
    except HeadraceError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_version(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete a version of the model that the command line already names."""
    model = context.params.get("model")
    if not model:
        return []
    try:
        with Client() as client:
            names = [version.name.split("/")[-1] for version in client.versions.list(model, timeout=1.0)]
    except HeadraceError:
        return []
    return [name for name in names if name.startswith(incomplete)]


model_argument = click.argument("model", shell_complete=complete_model)
version_argument = click.argument("version", shell_complete=complete_version)
