"""Makes the secrets of a local installation, each in a folder that only its users mount. Run by compose's `init`.

What exists is never overwritten, so that `docker compose up` again changes nothing. A file that the operator gives
(`HEADRACE_SECRETS_DIR`) is put in the place of a generated one each time: the password of a managed store, the keys of
an identity provider.

    postgres/   password, pgpass, DATABASE.pgpass   postgres itself
    postgres-DATABASE/   pgpass          the service whose database it is
    s3/         credentials, identities.json   s3 itself, registry, batchers, monitor
    valkey/     password, valkey.conf    valkey itself, router-control, front door
    issuer/     issuer.key.pem, …        only the process that mints tokens
    identity/   jwks.json, deny.json     front door; the second also registry, router-control, monitor
"""

import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from headrace_stack import identity
from headrace_stack.secrets import read_or_create, replace_private

ROOT = Path("/run/secrets/headrace")
GIVEN = Path("/given")
# The name that a given file has, and what it stands for; besides those of databases.
GIVEN_FILES = {
    "s3.credentials": "s3/credentials",
    "valkey.password": "valkey/password",
    "jwks.json": "identity/jwks.json",
    "deny.json": "identity/deny.json",
}


def make(root: Path, given: Path) -> list[str]:
    """Make what is missing and take what is given; return what was taken. Raises OSError for what cannot be read."""
    password = read_or_create(root / "postgres" / "password")
    _once(root / "postgres" / "pgpass", lambda: f"*:*:*:headrace:{password}\n")
    databases = [folder.name.removeprefix("postgres-") for folder in sorted(root.glob("postgres-*"))]
    for database in databases:
        _database(root, database)
    _s3(root / "s3")
    cached = read_or_create(root / "valkey" / "password")
    _once(root / "valkey" / "valkey.conf", lambda: f"requirepass {cached}\n")
    _identity(root / "issuer", root / "identity")
    places = {name: [place] for name, place in GIVEN_FILES.items()}
    places["postgres.pgpass"] = [f"postgres-{database}/pgpass" for database in databases]
    places |= {f"postgres-{database}.pgpass": [f"postgres-{database}/pgpass"] for database in databases}
    taken = [name for name in places if (given / name).exists()]
    for name in taken:
        for place in places[name]:
            replace_private(root / place, (given / name).read_text())
    return taken


def _database(root: Path, database: str) -> None:
    """Make the password of a database's role, which its service and PostgreSQL have to know."""
    pgpass = f"*:*:*:{database}:{secrets.token_urlsafe(24)}\n"
    for_postgres = root / "postgres" / f"{database}.pgpass"
    _once(for_postgres, lambda: pgpass)
    _once(root / f"postgres-{database}" / "pgpass", for_postgres.read_text)


def _s3(folder: Path) -> None:
    access, secret = read_or_create(folder / "access_key"), read_or_create(folder / "secret_key")
    lines = ("[default]", f"aws_access_key_id = {access}", f"aws_secret_access_key = {secret}", "")
    _once(folder / "credentials", lambda: "\n".join(lines))
    user = {
        "name": "headrace",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    _once(folder / "identities.json", lambda: json.dumps({"identities": [user]}))


def _identity(issuer: Path, public: Path) -> None:
    """Make the development issuer; its private key stays where the front door does not look."""
    identity.create(issuer)
    _once(public / identity.JWKS, (issuer / identity.JWKS).read_text)
    _once(public / identity.DENY, (issuer / identity.DENY).read_text)
    key = public / identity.KEY
    if not key.is_symlink():
        # Leads somewhere only where the issuer's folder is mounted too.
        os.symlink(issuer / identity.KEY, key)


def _once(path: Path, make: Callable[[], str]) -> None:
    read_or_create(path, make)


def main() -> int:
    try:
        taken = make(ROOT, GIVEN)
    except OSError as error:
        sys.stderr.write(f"init: {error}: files in HEADRACE_SECRETS_DIR must be readable by user {os.getuid()}\n")
        return 1
    sys.stdout.write(f"init: secrets are there{'; given: ' + ', '.join(taken) if taken else ''}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
