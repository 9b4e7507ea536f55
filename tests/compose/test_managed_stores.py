"""Every store elsewhere: named by its URL, its password a file that is given; ours are not started."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from headrace_servicekit.testing import free_port

from tests.kit.deployment.containers import Installation, docker
from tests.kit.deployment.topology import services
from tests.kit.models import onnx_models
from tests.kit.stack.operator import Operator

PASSWORD = "outside"
KEYS = {"accessKey": "outside", "secretKey": "outside-secret"}
# What each store reads, by the path at which it is mounted.
IDENTITIES = {"identities": [{"name": "them", "credentials": [KEYS], "actions": ["Admin", "Read", "Write", "List"]}]}
# The database of each service, by the variable that says where it is.
DATABASES = {f"{one.prefix}DATABASE_URL": one.database for one in services().values() if one.database}
PORTS = {"postgres": 5432, "valkey": 6379, "s3": 8333}


def readable(path: Path, text: str) -> Path:
    """Write a file that the containers' user can read, and its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    for folder in path.parents[:4]:
        folder.chmod(0o755)
    return path


@pytest.fixture
def stores(images: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Stores that no compose file knows, as `host:port` that containers reach."""
    gateway = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").strip()
    for database in DATABASES.values():
        readable(tmp_path / "theirs" / "postgres" / f"{database}.pgpass", f"*:*:*:{database}:{PASSWORD}\n")
    files = {
        "postgres": (readable(tmp_path / "theirs" / "postgres" / "password", PASSWORD).parent, "/outside"),
        "valkey": (readable(tmp_path / "theirs" / "valkey.conf", f"requirepass {PASSWORD}\n"),
                   "/run/secrets/headrace/valkey/valkey.conf"),
        "s3": (readable(tmp_path / "theirs" / "identities.json", json.dumps(IDENTITIES)), "/outside/identities.json"),
    }  # fmt: skip
    told = ("--env=POSTGRES_PASSWORD_FILE=/outside/password", "--env=S3_CONFIG_FILE=/outside/identities.json")
    names = {store: f"headrace-outside-{store}-{os.getpid()}" for store in PORTS}
    try:
        for store, (file, inside) in files.items():
            published = f"--publish={gateway}::{PORTS[store]}"
            mounted = f"--volume={file}:{inside}:ro"
            docker("run", "--detach", f"--name={names[store]}", published, mounted, *told, images[store])
        yield {store: docker("port", names[store], str(PORTS[store])).split()[0] for store in PORTS}
    finally:
        docker("rm", "--force", "--volumes", *names.values())


@pytest.fixture
def elsewhere(stores: dict[str, str], tmp_path: Path) -> Iterator[Installation]:
    given = tmp_path / "given"
    readable(given / "postgres.pgpass", "".join(f"*:*:*:{one}:{PASSWORD}\n" for one in DATABASES.values()))
    readable(given / "valkey.password", PASSWORD)
    credentials = f"aws_access_key_id = {KEYS['accessKey']}\naws_secret_access_key = {KEYS['secretKey']}\n"
    readable(given / "s3.credentials", f"[default]\n{credentials}")
    variables = {
        "HEADRACE_SECRETS_DIR": str(given),
        **{name: f"postgresql://{one}@{stores['postgres']}/{one}" for name, one in DATABASES.items()},
        "VALKEY_URL": f"redis://{stores['valkey']}/0",
        "S3_ENDPOINT": f"http://{stores['s3']}",
    }
    made = Installation(f"headrace-test-outside-{os.getpid()}", free_port(), tmp_path / "home", variables=variables)
    try:
        made.up("--scale", "postgres=0", "--scale", "valkey=0", "--scale", "s3=0")
        yield made
    finally:
        made.down("--volumes")
        assert made.left_behind() == []


async def test_a_store_is_replaced_by_its_url_alone(elsewhere: Installation, tmp_path: Path):
    running = {name.rpartition("-")[0] for name in elsewhere.containers()}
    assert not running & set(PORTS)
    features = np.ones((2, 4), np.float32)
    async with Operator.of(elsewhere.stack(), "elsewhere", tmp_path) as operator:
        await operator.register("v1", onnx_models.linear(seed=1))
        await operator.promote("v1")
        computed = await operator.client.predict("elsewhere", {"features": features})
        kept = await operator.client.predict("elsewhere", {"features": features})
    assert (computed.served_from, kept.served_from) == ("online", "cache")
    assert np.allclose(
        computed.outputs["scores"], onnx_models.linear(seed=1).expected({"features": features})["scores"]
    )
