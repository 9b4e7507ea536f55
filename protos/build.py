"""Builds what is generated from the protos: stubs, the descriptor set, and the lint of both.

python protos/build.py generate    write libs/stubs/headrace and its descriptor set anew
python protos/build.py check       fail when they are not what the protos say
python protos/build.py lint        buf's STANDARD and COMMENTS rules, and an access option on every RPC
"""

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "libs" / "stubs" / "headrace"
# Where google/api/*.proto lie: the wheel of googleapis-common-protos carries them beside its modules.
GOOGLEAPIS = Path(annotations_pb2.__file__).resolve().parent.parent.parent
DESCRIPTORS = "descriptors.binpb"


def sources() -> list[str]:
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def protoc(*options: str) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{GOOGLEAPIS}", *options, *sources()]
    subprocess.run(command, check=True, cwd=PROTOS)


def generate(out: Path) -> None:
    """Write modules, typing stubs and the descriptor set (with imports, and comments for reflection) below `out`."""
    with tempfile.TemporaryDirectory() as scratch:
        protoc(f"--python_out={scratch}", f"--pyi_out={scratch}", f"--grpc_python_out={scratch}")
        protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={scratch}/headrace/{DESCRIPTORS}")
        made = Path(scratch, "headrace")
        for proto in PROTOS.rglob("*.proto"):
            if not _has_service(proto):
                made.joinpath(proto.relative_to(PROTOS / "headrace")).with_name(f"{proto.stem}_pb2_grpc.py").unlink()
        made.joinpath("py.typed").touch()
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out)


def _has_service(proto: Path) -> bool:
    return any(line.startswith("service ") for line in proto.read_text().splitlines())


def check() -> list[str]:
    """Return the generated files that differ from the committed ones."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch, "headrace")
        generate(fresh)
        names = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
        committed = {
            path.relative_to(STUBS) for path in STUBS.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        }
        stale = names ^ committed
        stale |= {name for name in names & committed if not filecmp.cmp(fresh / name, STUBS / name, shallow=False)}
    return sorted(str(name) for name in stale)


def lint() -> int:
    """Run buf in a workspace that also holds google/api, which buf cannot fetch here."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(PROTOS, Path(scratch, "protos"), ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        shutil.copytree(GOOGLEAPIS / "google" / "api", Path(scratch, "googleapis", "google", "api"))
        shutil.copy(ROOT / "buf.yaml", scratch)
        buf = subprocess.run([Path(sys.executable).with_name("buf"), "lint", "protos"], cwd=scratch, check=False)
    return buf.returncode or report_missing_access()


def report_missing_access() -> int:
    from headrace.access.v1 import access_pb2  # the committed stubs: only this command needs them

    files = descriptor_pb2.FileDescriptorSet.FromString((STUBS / DESCRIPTORS).read_bytes())
    bare = []
    for file in files.file:
        for service in file.service:
            for method in service.method:
                access = method.options.Extensions[access_pb2.access]
                if bool(access.scope) == access.internal:
                    bare.append(f"{file.package}.{service.name}/{method.name}")
    for name in bare:
        print(f"{name}: needs an access option with either a scope or internal", file=sys.stderr)
    return 1 if bare else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["generate", "check", "lint"])
    command = parser.parse_args().command
    if command == "generate":
        generate(STUBS)
        return 0
    if command == "lint":
        return lint()
    stale = check()
    for name in stale:
        print(f"libs/stubs/headrace/{name}: not what the protos say; run `make stubs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
