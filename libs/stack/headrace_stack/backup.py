"""`backup` and `restore`: everything that a stack must not lose, as one folder, taken and put back while it runs.

router.dump    the router's database, in pg_dump's own format
monitor.dump   the monitor's; those of other services likewise
monitor-log/   the objects of the prediction log
registry/      the registry's content, and the model files that its versions name

A backup that an earlier release made is put back as it is, and then migrated.

What is not in it: parts that are not installed, secrets (`.headrace/identity`), and Valkey, whose answers are computed
or published again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from headrace_stack import description, topology
from headrace_stack.component import Component
from headrace_stack.components import postgres
from headrace_stack.lifecycle import StackError
from headrace_stack.settings import StackSettings

_LOG, _REGISTRY = "monitor-log", "registry"
_LONG_S = 3600
# The registry found all rows and not all files; the message of its command names them.
_FILES_MISSING = 3


class FilesMissing(StackError):
    """All rows are back, and some model files are nowhere."""


def save(settings: StackSettings, folder: Path) -> None:
    """Write a backup. Raises StackError when it cannot be made whole, or something is in the folder."""
    if folder.exists() and any(folder.iterdir()):
        raise StackError(f"{folder} is not empty: name a folder for this backup alone")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The router first: whatever its routes name, the registry has then, which removes nothing that is named.
    _dump(settings, "router", folder)
    _module(topology.registry(settings), "backup", "--out", str(folder / _REGISTRY), "--blobs")
    if topology.MONITOR in settings.services:
        # Before and after: what the database names is there, also what is removed or comes meanwhile.
        monitor, log = topology.monitor(settings), str(folder / _LOG)
        _module(monitor, "save-log", "--out", log)
        _dump(settings, "monitor", folder)
        _module(monitor, "save-log", "--out", log)
    for database in _others(settings):
        _dump(settings, database, folder)


def restore(settings: StackSettings, folder: Path) -> None:
    """Put a backup in the place of what the stack holds. Raises StackError; safe to repeat.

    Raises FilesMissing when everything is back but model files, which nothing else has to wait for.
    """
    observed = topology.MONITOR in settings.services
    for name in (_file("router"), *((_file("monitor"), _LOG) if observed else ()), _REGISTRY):
        if not (folder / name).exists():
            raise StackError(f"{folder} is no backup of this stack: it has no {name}")
    incomplete = None
    try:
        _module(topology.registry(settings), "restore", "--from", str(folder / _REGISTRY), "--replace")
    except FilesMissing as error:
        incomplete = error
    router_control = topology.router_control(settings)
    _put_back(settings, "router", folder, router_control)
    # Running data planes and batchers start over: generations are renumbered, for other tables.
    _module(router_control, "renew-incarnation")
    if observed:
        monitor = topology.monitor(settings)
        _put_back(settings, "monitor", folder, monitor)
        _module(monitor, "renew-incarnation")
        # After the database: an object that it does not name may be removed.
        _module(monitor, "restore-log", "--from", str(folder / _LOG))
    for database, component in _others(settings).items():
        if (folder / _file(database)).exists():  # an earlier release had no such service: then its data stay
            _put_back(settings, database, folder, component)
    if incomplete is not None:
        raise incomplete


def _others(settings: StackSettings) -> dict[str, Component]:
    """Return the other databases, and the services that they belong to."""
    components = {component.name: component for component in topology.components(settings)}
    services = description.own(settings.services)
    named = ("registry", "router", "monitor")
    return {one.database: components[one.component] for one in services if one.database and one.database not in named}


def _file(database: str) -> str:
    return f"{database}.dump"


def _dump(settings: StackSettings, database: str, folder: Path) -> None:
    arguments = ("--format=custom", f"--file={folder / _file(database)}")
    _finish((str(postgres.binaries() / "pg_dump"), *arguments), _of_postgres(settings, database))


def _put_back(settings: StackSettings, database: str, folder: Path, service: Component) -> None:
    """Put a dump in the place of all that a database holds, at once, and bring it to the schema of this code."""
    environment, sql = _of_postgres(settings, database), settings.run / f"{database}.sql"
    try:
        written = ("--no-owner", "--no-privileges", f"--file={sql}", str(folder / _file(database)))
        _finish((str(postgres.binaries() / "pg_restore"), *written), environment)
        # As the role of the database, which has its name: what is put back belongs to it. pg_restore's own --clean
        # drops what the dump has, and fails where something refers to it that the dump does not know.
        emptied = f'set role "{database}"; drop owned by "{database}" cascade'
        options = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--command={emptied}")
        _finish((str(postgres.binaries() / "psql"), *options, f"--file={sql}"), environment)
    finally:
        sql.unlink(missing_ok=True)
    _module(service, "migrate")


def _of_postgres(settings: StackSettings, database: str) -> dict[str, str]:
    host, _, port = settings.ports.postgres.address.partition(":")
    return {
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": postgres.SUPERUSER,
        "PGDATABASE": database,
        "PGPASSFILE": str(postgres.passfile(settings)),
    }


def _module(component: Component, command: str, *arguments: str) -> None:
    """Run a command with a service's settings, except the ports, which the service occupies."""
    environment = {name: value for name, value in component.environment.items() if not name.endswith("_PORT")}
    _finish((*component.command, command, *arguments), environment)


def _finish(command: tuple[str, ...], environment: dict[str, str]) -> None:
    shown = " ".join(command[-4:])
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_LONG_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"{shown}: not done after {_LONG_S} s") from None
    if done.returncode:
        sys.stderr.write(done.stderr)
        if done.returncode == _FILES_MISSING:
            raise FilesMissing(f"{shown}: some model files are nowhere; everything else is back")
        raise StackError(f"{shown}: it failed")
