"""Models as files and folders of formats other than ONNX."""

import zipfile
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_client.cli.output import Output
from headrace_client.cli.sources import Conversion, Source, source_of
from headrace_client.errors import InvalidArgument
from headrace_client.model_files import FORMATS, files_of, type_in, zipped
from headrace_client.recognition import Kind, recognise
from headrace_registry.decisions.formats import FILES
from headrace_registry.decisions.models import Format

Artifact = registry_pb2.Artifact


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name in names:
            opened.writestr(name, b"x")
    return path


def taken(path: Path, *, trust: bool = False, stated: bool = False) -> AbstractContextManager[Source]:
    """Give what would be registered of a file."""
    conversion = Conversion(trust=trust, python=None, max_difference=1e-4)
    return source_of(Output(as_json=False), path, {}, conversion, stated=stated)


def written(folder: Path, **files: str) -> Path:
    """Write files whose names have __ for a dot and ___ for a slash."""
    for name, text in files.items():
        path = folder / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_every_format_of_the_registry_has_its_files_here():
    assert {Format(name) for name in FORMATS} == set(FILES)
    for name, told in FORMATS.items():
        assert {told.file, *told.names} == set(FILES[Format(name)].model)
        (kind,) = set(FILES[Format(name)].model.values())
        assert Artifact.Type.Name(told.kind) == f"TYPE_{kind.name}"


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("m/data.pkl", "m/constants.pkl", "m/code/a.py"), Kind.TORCHSCRIPT),
        (("m/data/aotinductor/model/a.so", "m/version"), Kind.PT2),
        (("saved_model.pb", "variables/a"), Kind.SAVEDMODEL),
        (("m/models/model.json", "m/version"), Kind.EXPORTED),
    ],
)
def test_an_archive_is_recognised_by_what_is_in_it(tmp_path: Path, names, kind):
    assert recognise(archive(tmp_path / "model", *names)) is kind


@pytest.mark.parametrize(
    ("names", "kept_as"),
    [(("m/data.pkl", "m/constants.pkl", "m/code/a.py"), "torchscript"), (("saved_model.pb",), "savedmodel")],
)
def test_a_program_whose_contract_is_stated_is_registered_as_it_is_and_not_read(tmp_path: Path, names, kept_as):
    path = archive(tmp_path / "model", *names)
    with taken(path, stated=True) as source:
        assert (source.file, source.kept_as) == (path, kept_as)


def test_weights_alone_say_how_they_become_something_that_runs(tmp_path: Path):
    with pytest.raises(InvalidArgument, match=r"torch\.export\.save"):
        recognise(archive(tmp_path / "model.pt", "m/data.pkl", "m/data/0"))


def test_a_plan_and_code_are_recognised(tmp_path: Path):
    (tmp_path / "model.plan").write_bytes(b"ftrt\0\0")
    (tmp_path / "handler.py").write_text("class TritonPythonModel: ...\n")
    assert recognise(tmp_path / "model.plan") is Kind.TENSORRT
    assert recognise(tmp_path / "handler.py") is Kind.PYTHON


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"saved_model__pb": "x"}, Kind.SAVEDMODEL),
        ({"model__py": "x"}, Kind.PYTHON),
        ({"config__pbtxt": "x"}, "headrace models import triton"),
        ({"readme__txt": "x"}, "no MLmodel, saved_model.pb or model.py"),
    ],
)
def test_a_folder_is_recognised_by_its_files(tmp_path: Path, files, found):
    written(tmp_path, **files)
    if isinstance(found, Kind):
        assert recognise(tmp_path) is found
    else:
        with pytest.raises(InvalidArgument, match=found):
            recognise(tmp_path)


def test_a_folder_of_code_has_its_sources_its_requirements_and_its_data(tmp_path: Path):
    written(tmp_path, model__py="", scaling__py="", requirements__txt="", labels__json="{}", weights__npz="x")
    (tmp_path / "linked.py").symlink_to("/etc/passwd")
    found = files_of(tmp_path, "python")
    assert set(found.files) == {"model.py", "scaling.py", "requirements.txt", "labels.json", "weights.npz"}
    assert list(found.left_out) == ["linked.py"]
    assert type_in("python", "requirements.txt") == Artifact.TYPE_REQUIREMENTS
    assert type_in("python", "scaling.py") == Artifact.TYPE_PYTHON
    assert type_in("python", "labels.json") is None
    assert type_in("python", "weights.npz") == Artifact.TYPE_OPAQUE
    assert type_in("onnx", "weights.npz") is None
    assert type_in("fil", "xgboost.json") == Artifact.TYPE_TREES


def test_a_saved_model_is_the_same_archive_each_time_and_has_no_links(tmp_path: Path):
    folder = written(tmp_path / "model", saved_model__pb="x", variables___a="y")
    first, second = zipped(folder, tmp_path / "1.zip"), zipped(folder, tmp_path / "2.zip")
    assert first.read_bytes() == second.read_bytes()
    assert zipfile.ZipFile(first).namelist() == ["saved_model.pb", "variables/a"]
    (folder / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(InvalidArgument, match="is a link"):
        zipped(folder, tmp_path / "3.zip")
