"""What compose's `init` makes, and what a bill of materials lists."""

import importlib.util
import json
import stat
from pathlib import Path
from types import ModuleType

import pytest

from tests.kit.deployment.topology import CHECKOUT


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, CHECKOUT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


init, sbom = load("deploy/tools/init.py"), load("deploy/sbom.py")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("postgres", "postgres-registry", "postgres-router", "s3", "valkey", "issuer", "identity"):
        (tmp_path / "secrets" / name).mkdir(parents=True)
    (tmp_path / "given").mkdir()
    return tmp_path / "secrets"


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_secrets_are_made_once_and_readable_by_their_owner_alone(root: Path):
    init.make(root, root.parent / "given")
    made = files(root)
    assert made["postgres/password"] in made["postgres/pgpass"]
    assert made["postgres/registry.pgpass"] == made["postgres-registry/pgpass"]
    assert made["postgres-registry/pgpass"].startswith("*:*:*:registry:")
    passwords = {made[path].strip().rpartition(":")[2] for path in made if path.endswith("pgpass")}
    assert len(passwords) == 3, "one for each database, and the superuser's"
    assert made["s3/secret_key"] in made["s3/credentials"]
    assert (
        json.loads(made["s3/identities.json"])["identities"][0]["credentials"][0]["secretKey"] == made["s3/secret_key"]
    )
    assert made["valkey/password"] in made["valkey/valkey.conf"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()} == {0o600}
    init.make(root, root.parent / "given")
    assert files(root) == made


def test_the_front_door_gets_the_keys_of_the_issuer_without_the_private_one(root: Path):
    init.make(root, root.parent / "given")
    assert json.loads((root / "identity" / "jwks.json").read_text())["keys"]
    assert (root / "identity" / "issuer.key.pem").is_symlink()
    (root / "issuer").rename(root / "not-mounted")
    assert not (root / "identity" / "issuer.key.pem").exists()
    assert "PRIVATE" not in "".join(path.read_text() for path in (root / "identity").iterdir() if path.is_file())


def test_what_the_operator_gives_stands_in_the_place_of_what_was_made(root: Path):
    given = root.parent / "given"
    init.make(root, given)
    (given / "jwks.json").write_text('{"keys": [{"kty": "EC"}]}')
    (given / "postgres.pgpass").write_text("db:5432:*:me:secret\n")
    (given / "postgres-router.pgpass").write_text("db:5432:*:router:other\n")
    assert init.make(root, given) == ["jwks.json", "postgres.pgpass", "postgres-router.pgpass"]
    assert (root / "postgres-registry" / "pgpass").read_text() == "db:5432:*:me:secret\n"
    assert (root / "postgres-router" / "pgpass").read_text() == "db:5432:*:router:other\n"
    assert json.loads((root / "identity" / "jwks.json").read_text()) == {"keys": [{"kty": "EC"}]}


def test_a_bill_of_materials_lists_python_and_debian_packages(tmp_path: Path):
    site = tmp_path / "lib" / "python3.11" / "site-packages" / "some_thing-1.2.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.4\nName: Some_Thing\nVersion: 1.2\nLicense-Expression: MIT\n")
    status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n"
    removed = "Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"
    components = [*sbom.python_components(tmp_path), *sbom.debian_components(status + removed)]
    assert [one["purl"] for one in sbom.document("image", components)["components"]] == [
        "pkg:pypi/some-thing@1.2",
        "pkg:deb/debian/libc6@2.36-9?arch=amd64",
    ]
