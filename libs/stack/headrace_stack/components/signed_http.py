"""One signed HTTP request to an S3 endpoint (AWS Signature Version 4), enough for a health check.

The services use aioboto3; the supervisor would need 0.4 s and 60 MB to import it.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace_stack.components.probes import exchange
from headrace_stack.ports import Port

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class S3Keys:
    access_key: str
    secret_key: str


async def request(method: str, port: Port, path: str, *, keys: S3Keys, body: bytes = b"", timeout_s: float = 3) -> int:
    """Send one request and return its HTTP status. Raises OSError or TimeoutError when there is no answer."""
    headers = sign(method, port.address, path, keys=keys, body=body, now=datetime.now(UTC))
    status, _ = await exchange(method, port, path, headers, body, timeout_s)
    return status


def sign(method: str, host: str, path: str, *, keys: S3Keys, body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers that authenticate a request without query parameters. `path` must need no escaping."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    headers = {"host": host, "x-amz-content-sha256": hashlib.sha256(body).hexdigest(), "x-amz-date": stamp}
    names = ";".join(headers)
    canonical = "\n".join(
        (
            method,
            path,
            "",
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            names,
            headers["x-amz-content-sha256"],
        )
    )
    to_sign = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{keys.access_key}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return headers
