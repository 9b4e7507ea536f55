"""What files of other formats than ONNX are taken, by their content."""

import io
import json
import stat
import zipfile
from pathlib import Path

import pytest
from headrace_registry.artifacts import format_check
from headrace_registry.artifacts.content import FormatProcess
from headrace_registry.artifacts.refusals import RefusedError
from headrace_registry.decisions.files import ArtifactType

A = "a" * 64


def zipped(*names: str, content: bytes = b"x") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return made.getvalue()


def linked() -> bytes:
    made, entry = io.BytesIO(), zipfile.ZipInfo("variables")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("saved_model.pb", b"x")
        archive.writestr(entry, b"/etc/passwd")
    return made.getvalue()


def bomb() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("saved_model.pb", bytes(64 * 1024 * 1024))
    return made.getvalue()


TORCHSCRIPT = zipped("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py")
PT2 = zipped("m/archive_format", "m/data/aotinductor/model/a.so")
SAVEDMODEL = zipped("saved_model.pb", "variables/variables.index")
LIGHTGBM = b"tree\nversion=v4\nnum_class=1\n"
LOCKED = f"numpy==2.0 --hash=sha256:{A}\n".encode()


@pytest.fixture
def check(tmp_path):
    def run(kind: ArtifactType, content: bytes) -> None:
        path = tmp_path / "file"
        path.write_bytes(content)
        format_check.check(kind, str(path))

    return run


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (ArtifactType.TORCHSCRIPT, TORCHSCRIPT),
        (ArtifactType.PT2, PT2),
        (ArtifactType.SAVEDMODEL, SAVEDMODEL),
        (ArtifactType.TENSORRT, b"ftrt\0\0\0\0plan"),
        (ArtifactType.PYTHON, b"class TritonPythonModel:\n    pass\n"),
        (ArtifactType.REQUIREMENTS, LOCKED),
        (ArtifactType.TREES, json.dumps({"learner": {}, "version": [3, 2, 0]}).encode()),
        (ArtifactType.TREES, b"{L\0\0\0\0\0\0\0\7learner{"),
        (ArtifactType.TREES, LIGHTGBM),
    ],
)
def test_a_file_of_its_type_is_taken(check, kind, content):
    check(kind, content)


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        (ArtifactType.TORCHSCRIPT, b"\x80\x04pickle", "no ZIP archive"),
        (ArtifactType.TORCHSCRIPT, zipped("m/data.pkl", "m/data/0"), "weights and no code"),
        (ArtifactType.TORCHSCRIPT, SAVEDMODEL, "not TorchScript"),
        (ArtifactType.PT2, zipped("m/models/model.json"), "exported program that is not compiled"),
        (ArtifactType.PT2, TORCHSCRIPT, "no data/aotinductor"),
        (ArtifactType.SAVEDMODEL, zipped("1/saved_model.pb"), "must lie at the top"),
        (ArtifactType.SAVEDMODEL, TORCHSCRIPT, "no saved_model.pb"),
        (ArtifactType.SAVEDMODEL, zipped("saved_model.pb", "../outside"), "outside of it"),
        (ArtifactType.SAVEDMODEL, zipped("saved_model.pb", "/etc/cron.d/x"), "outside of it"),
        (ArtifactType.SAVEDMODEL, zipped("saved_model.pb", "a\\..\\b"), "outside of it"),
        (ArtifactType.SAVEDMODEL, linked(), "link or a device"),
        (ArtifactType.SAVEDMODEL, bomb(), "unpacks to"),
        (ArtifactType.SAVEDMODEL, zipped("saved_model.pb", *map(str, range(10_000))), "at most 10000"),
        (ArtifactType.TENSORRT, b"PK\3\4", "trtexec"),
        (ArtifactType.PYTHON, b"class :\n", "not Python"),
        (ArtifactType.PYTHON, b"\xff", "UTF-8"),
        (ArtifactType.PYTHON, b"a = 1\0", "zero byte"),
        (ArtifactType.PYTHON, b"#" * (format_check.MAX_SOURCE_BYTES + 1), "more than"),
        (ArtifactType.REQUIREMENTS, b"\n\nrequests\n", "line 3: 'requests' has no exact version"),
        (ArtifactType.TREES, b"{}", "neither"),
        (ArtifactType.TREES, b"[1", "neither"),
        (ArtifactType.TREES, b"tree", "neither"),
    ],
)
def test_a_file_that_is_not_of_its_type_is_refused_with_the_reason(check, kind, content, why):
    with pytest.raises(RefusedError, match=why):
        check(kind, content)


def test_an_archive_whose_files_overlap_is_refused(tmp_path):
    path = tmp_path / "overlapping.zip"
    whole = bytearray(zipped("saved_model.pb", "b", content=bytes(1000)))
    directory = whole.index(b"PK\1\2")
    at = directory + 20
    whole[at : at + 4] = (5000).to_bytes(4, "little")
    path.write_bytes(bytes(whole))
    with pytest.raises(RefusedError, match=r"overlap|no ZIP"):
        format_check.entries(str(path))


@pytest.mark.parametrize("nested", [b"(" * 200_000, b"-" * 900_000 + b"1", b"a" + b".b" * 400_000])
async def test_source_that_takes_the_parser_down_is_refused_and_takes_nobody_with_it(tmp_path: Path, nested):
    path = tmp_path / "model.py"
    path.write_bytes(nested)
    with pytest.raises(RefusedError):
        await FormatProcess(timeout_s=60)(ArtifactType.PYTHON, path, len(nested))


async def test_a_file_of_its_type_is_taken_by_the_process_that_looks(tmp_path: Path):
    path = tmp_path / "requirements.txt"
    path.write_bytes(LOCKED)
    await FormatProcess(timeout_s=60)(ArtifactType.REQUIREMENTS, path, len(LOCKED))
