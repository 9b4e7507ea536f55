"""The development issuer of a local stack: `make up` creates keys in .headrace/identity, this mints tokens with them.

Anybody who can read the private key can be anybody; that is the point of a development issuer. Production has its own.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt

from headrace_client.api_description import public_services
from headrace_client.errors import invalid
from headrace_client.local_files import is_file, object_of, read_as, text_of
from headrace_client.local_stack import KEY_FILE, LocalStack

ISSUER = "https://issuer.headrace.local"
AUDIENCE = "headrace"
MAX_LIFETIME = timedelta(minutes=15)
LINK_AUDIENCE = "headrace-console"
LINK_LIFETIME = timedelta(minutes=1)
_MADE_ANEW = "remove it and run `make up`, which makes what is missing"
_DENY_REMEDY = 'write {"subjects": [...]} with all who are to be refused'


@functools.cache
def known_scopes() -> tuple[str, ...]:
    """Return every scope that an RPC of Headrace asks for, sorted."""
    return tuple(sorted(frozenset().union(*public_services().values())))


@dataclass(frozen=True, slots=True)
class DevelopmentIssuer:
    """The issuer whose files are in `folder`."""

    folder: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ, start: Path | None = None) -> DevelopmentIssuer | None:
        """Return the issuer in HEADRACE_IDENTITY_DIR, or else that of the local stack; None where there is neither."""
        named = environ.get("HEADRACE_IDENTITY_DIR")
        if named:
            if not is_file(Path(named) / KEY_FILE):
                raise invalid(
                    "HEADRACE_IDENTITY_DIR", f"no {KEY_FILE} in {named}; run `make up`, or unset the variable"
                )
            return cls(Path(named))
        stack = LocalStack.find(environ, start)
        return cls(stack.identity) if stack is not None and is_file(stack.identity / KEY_FILE) else None

    def mint(
        self,
        *,
        subject: str,
        now: datetime,
        scopes: Iterable[str] | None = None,
        models: Sequence[str] | None = None,
        lifetime: timedelta = MAX_LIFETIME,
    ) -> str:
        """Return a signed token. scopes: None means all there are; models: patterns, None means all models.

        Raises InvalidArgument when the lifetime is not within (0, 15 min], which is all that the front door accepts.
        """
        if not timedelta(0) < lifetime <= MAX_LIFETIME:
            raise invalid(
                "ttl", f"{lifetime.total_seconds():.0f} s; tokens live at most {MAX_LIFETIME.total_seconds():.0f} s"
            )
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": uuid.uuid4().hex,
            "scopes": list(known_scopes() if scopes is None else scopes),
        }
        if models is not None:
            claims["models"] = list(models)
        return self._sign(claims)

    def console_link(
        self, *, subject: str, now: datetime, scopes: Iterable[str] | None = None, models: Sequence[str] | None = None
    ) -> str:
        """Return what signs a person in at the console, once and within a minute. No API takes it for a token.

        The token that the person will call with is in it: the console needs no key for that.
        """
        return self._sign(
            {
                "iss": ISSUER,
                "aud": LINK_AUDIENCE,
                "sub": subject,
                "iat": int(now.timestamp()),
                "exp": int((now + LINK_LIFETIME).timestamp()),
                "jti": uuid.uuid4().hex,
                "token": self.mint(subject=subject, now=now, scopes=scopes, models=models),
            }
        )

    def _sign(self, claims: Mapping[str, Any]) -> str:
        key_id = self._key_id()
        headers = {"kid": key_id} if key_id else None
        path = self.folder / KEY_FILE
        key = text_of(path, "issuer", "a private key", _MADE_ANEW)
        with read_as("a private key for ES256 (PEM)", path, "issuer", _MADE_ANEW):
            return jwt.encode(dict(claims), key, algorithm="ES256", headers=headers)

    def denied(self) -> list[str]:
        """Return the subjects whose tokens are refused."""
        path = self.folder / "deny.json"
        if not os.path.lexists(path):
            return []
        subjects = object_of(path, "deny.json", _DENY_REMEDY).get("subjects")
        if not isinstance(subjects, list) or not all(isinstance(subject, str) for subject in subjects):
            raise invalid("deny.json", f"{path} has no list of subjects; {_DENY_REMEDY}")
        return subjects

    def deny(self, subject: str) -> list[str]:
        """Refuse a subject's tokens; return all that are refused. The front door follows the file within 5 s."""
        with self._alone():
            return self._write_denied([*self.denied(), subject])

    def allow(self, subject: str) -> list[str]:
        """Take a subject off the deny list; return those that stay."""
        with self._alone():
            return self._write_denied(name for name in self.denied() if name != subject)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the list against other writers: one of two concurrent denials would be lost."""
        with read_as("a folder", self.folder, "HEADRACE_IDENTITY_DIR"):
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write_denied(self, subjects: Iterable[str]) -> list[str]:
        kept = sorted(set(subjects))
        path = self.folder / "deny.json"
        # Renamed into place: who watches the file never reads half of it.
        partial = path.with_name(f".deny.json.{os.getpid()}")
        try:
            partial.write_text(json.dumps({"subjects": kept}, indent=2) + "\n")
            os.replace(partial, path)
        except OSError as error:
            raise invalid("deny.json", f"cannot write {path}: {error.strerror}") from error
        return kept

    def _key_id(self) -> str:
        path = self.folder / "jwks.json"
        if not os.path.lexists(path):
            return ""
        with read_as("a key set (JWKS)", path, "issuer", _MADE_ANEW):
            keys = object_of(path, "issuer", _MADE_ANEW)["keys"]
            if not keys:
                raise ValueError("it has no keys")
            return str(keys[0].get("kid", ""))
