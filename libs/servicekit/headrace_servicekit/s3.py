"""A bucket in an S3 store, as every service that keeps objects uses it: every wait is bounded, the store's absence is
Unavailable.

Needs the extra `headrace-servicekit[s3]`.
"""

from __future__ import annotations

import base64
import configparser
import functools
import hashlib
from asyncio import timeout
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioboto3
import botocore.loaders
from aiobotocore.session import AioSession
from aiohttp import ClientPayloadError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from headrace_servicekit.errors import Unavailable
from headrace_servicekit.runtime import StartError
from headrace_servicekit.settings import S3Settings, variable

SHORT_CALL_S = 5.0
READ_CALL_S = 20.0
RETRY_AFTER_S = 1.0
CONNECTIONS = 32

_CONFIG = Config(
    connect_timeout=2,
    read_timeout=READ_CALL_S,
    max_pool_connections=CONNECTIONS,
    retries={"max_attempts": 2, "mode": "standard"},
    # Path style: a store on one host has no name per bucket. Checksums: not every S3 understands trailing ones.
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects are kept. credentials_file: AWS shared credentials (INI), profile `default`.

    credentials_setting: the variable that names the file, for the error when it cannot be read.
    """

    endpoint: str
    bucket: str
    region: str
    credentials_file: Path | None = None
    credentials_setting: str = ""

    @classmethod
    def of(cls, settings: S3Settings, *, bucket: str | None = None) -> Place:
        """Return where the settings of a service say that its objects are, or another bucket of the same store."""
        return cls(
            settings.s3_endpoint,
            bucket or settings.s3_bucket,
            settings.s3_region,
            settings.s3_credentials_file,
            variable(type(settings), "s3_credentials_file"),
        )


class Bucket:
    """A bucket and the client that its owner calls it with, inside `bounded`. Opening it needs no server.

    owner: what the store is to callers ("artifact store (S3)"). reason: of the Unavailable that its absence is.
    """

    def __init__(self, place: Place, *, owner: str, reason: str) -> None:
        self._place, self._owner, self._reason = place, owner, reason
        self._stack = AsyncExitStack()
        self._session: Any = None
        self._exists = False
        self.client: Any = None

    async def __aenter__(self) -> Bucket:
        session = AioSession()
        session.register_component("data_loader", _descriptions())
        keys, region = _keys(self._place), self._place.region
        self._session = aioboto3.Session(**keys, region_name=region, botocore_session=session)
        self.client = await self.client_for(self._place.endpoint)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def name(self) -> str:
        """Return the bucket's name."""
        return self._place.bucket

    async def client_for(self, endpoint: str, config: Config | None = None) -> Any:
        """Return a client with the same keys for another URL of the store; it is closed with the bucket."""
        merged = _CONFIG if config is None else _CONFIG.merge(config)
        client = self._session.client("s3", endpoint_url=endpoint, config=merged)
        return await self._stack.enter_async_context(client)

    async def prepare(self) -> None:
        """Make the bucket, unless it is there."""
        if self._exists:
            return
        async with self.bounded(SHORT_CALL_S):
            try:
                await self.client.head_bucket(Bucket=self.name)
            except ClientError as error:
                if http_status(error) != 404:
                    raise
                await self._create()
        self._exists = True

    async def check(self) -> None:
        """Raise Unavailable while the store does not answer."""
        await self.prepare()
        async with self.bounded(SHORT_CALL_S):
            await self.client.head_bucket(Bucket=self.name)

    @asynccontextmanager
    async def bounded(self, seconds: float, *, keep: type[Exception] | tuple = ()) -> AsyncIterator[None]:
        """Limit the time of calls, and turn the store's absence into Unavailable, except for errors of type `keep`."""
        try:
            async with timeout(seconds):
                yield
        except keep:
            raise
        except (BotoCoreError, ClientError, ClientPayloadError, TimeoutError, OSError) as error:
            # ClientPayloadError: a body that ended too early, which the SDK lets through as it is.
            raise self.unavailable(error) from error

    def unavailable(self, error: Exception) -> Unavailable:
        """Return what to raise for an error of the store."""
        if isinstance(error, ClientError):
            what = f"refused the call ({error.response.get('Error', {}).get('Code') or http_status(error)})"
        else:
            what = f"cannot be reached ({type(error).__name__})"
        return Unavailable(f"the {self._owner} {what}", reason=self._reason, retry_after_s=RETRY_AFTER_S)

    async def _create(self) -> None:
        try:
            await self.client.create_bucket(Bucket=self.name)
        except ClientError as error:
            if http_status(error) != 409:  # another replica has made it meanwhile
                raise


@functools.cache
def _descriptions() -> Any:
    """Return what the SDK knows of S3: megabytes of JSON, of which most of a client's cost is, read once a process."""
    return botocore.loaders.create_loader()


def content_md5(content: bytes) -> str:
    """Return the Content-MD5 header of a PUT.

    Without it, a sender that dies after the headers leaves an empty object in SeaweedFS.
    """
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def http_status(error: ClientError) -> int:
    """Return the HTTP status that the store answered with; 0 when it did not say."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))  # type: ignore[typeddict-item]


def _keys(place: Place) -> dict[str, str]:
    """Return the access keys in a shared credentials file; without one, the SDK looks where it always does."""
    file = place.credentials_file
    if file is None:
        return {}
    # As the SDK reads it: a secret may have a percent sign.
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        profile = parser["default"]
        return {name: profile[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    except (OSError, configparser.Error, KeyError) as error:
        # Not the error's text: a parser's message quotes the line.
        raise StartError(
            f"{place.credentials_setting}: {file} is not a readable AWS credentials file with the profile 'default' "
            f"({type(error).__name__})"
        ) from None
