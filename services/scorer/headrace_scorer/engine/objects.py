"""Objects in S3 as the processes that read and write rows use them: by ranges, and only as they were."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from headrace_runtime.artifacts.place import read_credentials

from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.messages import Access

READ_BYTES = 4 << 20
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    retries={"total_max_attempts": 4, "mode": "standard"},
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class StoreAway(Exception):
    """S3 is unreachable or fails; a retry may succeed."""


class StoreRefuses(Exception):
    """S3 says no: no such bucket, no permission. Trying again does not help."""


class InputChanged(Exception):
    """An object is not what it was when the job was planned."""


class OutputTaken(Exception):
    """Another object has the name of a result."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object below a prefix."""

    key: str
    etag: str
    size_bytes: int


class Objects:
    """A connection to S3. Every method raises StoreAway and StoreRefuses."""

    def __init__(self, access: Access) -> None:
        keys = {} if access.credentials_file is None else read_credentials(Path(access.credentials_file))
        session: Any = boto3.Session(region_name=access.region, **keys)
        self._client: Any = session.client("s3", endpoint_url=access.endpoint, config=_CONFIG)

    def listed(self, at: Location) -> Iterator[Listed]:
        """Yield the objects whose names begin with a prefix, in the order of names."""
        token: dict[str, str] = {}
        while True:
            with _Errors(at.uri):
                page = self._client.list_objects_v2(Bucket=at.bucket, Prefix=at.prefix, **token)
            for item in page.get("Contents", ()):
                yield Listed(item["Key"], item["ETag"], item["Size"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def found(self, bucket: str, key: str) -> Listed:
        """Return an object as it is now. Raises LookupError when there is none."""
        with _Errors(f"s3://{bucket}/{key}"):
            answer = self._client.head_object(Bucket=bucket, Key=key)
        return Listed(key, answer["ETag"], answer["ContentLength"])

    def opened(self, bucket: str, key: str, etag: str, size_bytes: int) -> io.BufferedReader:
        """Return an object to read from. Reading raises InputChanged as soon as it is not what it was."""
        return io.BufferedReader(_Ranges(self._client, bucket, key, etag, size_bytes), READ_BYTES)

    def metadata(self, at: Location) -> dict[str, str] | None:
        """Return the metadata of an object; None if it does not exist or is incomplete."""
        there = self._there(at)
        return there["Metadata"] if there is not None and _is_whole(there) else None

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object, if it is there."""
        with _Errors(f"s3://{bucket}/{key}"):
            self._client.delete_object(Bucket=bucket, Key=key)

    def create(self, at: Location, file: Path | bytes, metadata: dict[str, str]) -> None:
        """Create an object. Raises OutputTaken if the key has an object with other metadata.

        Some stores keep a truncated or empty object after an interrupted upload: it is overwritten.
        """
        size = len(file) if isinstance(file, bytes) else file.stat().st_size
        whole, condition = metadata | {"size": str(size)}, {"IfNoneMatch": "*"}
        while True:
            body: Any = file.open("rb") if isinstance(file, Path) else io.BytesIO(file)
            try:
                with body, _Errors(at.uri):
                    self._client.put_object(Bucket=at.bucket, Key=at.prefix, Body=body, Metadata=whole, **condition)
                return
            except OutputTaken:
                there = self._there(at)
                if there is None:
                    condition = {"IfNoneMatch": "*"}
                    continue
                if not _is_whole(there):
                    condition = {"IfMatch": there["ETag"]}
                elif there["Metadata"] != whole:
                    raise
                else:
                    return

    def _there(self, at: Location) -> dict[str, Any] | None:
        try:
            with _Errors(at.uri):
                return self._client.head_object(Bucket=at.bucket, Key=at.prefix)
        except LookupError:
            return None


def _is_whole(there: Mapping[str, Any]) -> bool:
    return there["Metadata"].get("size", str(there["ContentLength"])) == str(there["ContentLength"])


class _Ranges(io.RawIOBase):
    """An object, read by ranges, each under the condition that it is what it was."""

    def __init__(self, client: Any, bucket: str, key: str, etag: str, size_bytes: int) -> None:
        self._client, self._bucket, self._key, self._etag, self._size = client, bucket, key, etag, size_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        with _Errors(f"s3://{self._bucket}/{self._key}"):
            answer = self._client.get_object(
                Bucket=self._bucket,
                Key=self._key,
                Range=f"bytes={self._at}-{self._at + wanted - 1}",
                IfMatch=self._etag,
            )
            # Not every S3 knows the condition.
            if answer["ETag"] != self._etag:
                raise InputChanged(f"s3://{self._bucket}/{self._key} was rewritten while it was read")
            with answer["Body"] as body:
                found = body.read()
        if len(found) != wanted:
            raise StoreAway(f"s3://{self._bucket}/{self._key}: {len(found)} bytes came of {wanted}")
        memoryview(buffer)[:wanted] = found
        self._at += wanted
        return wanted


class _Errors:
    """Turns the SDK's errors into ours. LookupError for what is not there."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code", "unknown error")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status == 412 and error.operation_name == "GetObject":
                raise InputChanged(f"{self._what} was rewritten while it was read") from None
            if status == 412 and error.operation_name == "PutObject":
                raise OutputTaken(f"{self._what} is there already") from None
            if status == 404 and error.operation_name == "GetObject":
                raise InputChanged(f"{self._what} was removed while it was read") from None
            if status == 404 and error.operation_name == "HeadObject":
                raise LookupError(self._what) from None
            if status in (400, 401, 403, 404):
                raise StoreRefuses(f"{self._what}: S3 refuses it ({code})") from None
            raise StoreAway(f"{self._what}: S3 answers {code}") from None
        if isinstance(error, (BotoCoreError, OSError)) and not isinstance(error, (StoreAway, StoreRefuses)):
            raise StoreAway(f"{self._what}: S3 cannot be reached ({type(error).__name__})") from None
