"""What a model file is, by its content; what cannot be converted, with what to do instead."""

from __future__ import annotations

import bz2
import enum
import json
import lzma
import mmap
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace_client.errors import InvalidArgument, invalid
from headrace_client.local_files import read_as
from headrace_client.model_files import names_in, of_archive

# How far answers of what is made of a file may be from its own, of the largest or of 1: arithmetic in other orders.
MAX_DIFFERENCE = 1e-4
_HEAD_BYTES = 64 * 1024
_MODEL_SUFFIXES = (".onnx", ".pkl", ".joblib", ".skops", ".ubj", ".pt", ".pt2", ".plan")


class Kind(enum.StrEnum):
    """How a file is read. PICKLE: by running what is in it. SKOPS: only where it has nothing but known types. EXPORTED:
    a program of torch.export. ZIPMAP: ONNX whose scores are dictionaries, which no server has."""

    ONNX = "onnx"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    PICKLE = "pickle"
    SKOPS = "skops"
    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    SAVEDMODEL = "savedmodel"
    TENSORRT = "tensorrt"
    PYTHON = "python"
    EXPORTED = "exported"
    CATBOOST = "catboost"
    ZIPMAP = "zipmap"


TAKEN = frozenset((Kind.ONNX, Kind.TORCHSCRIPT, Kind.PT2, Kind.SAVEDMODEL, Kind.TENSORRT, Kind.PYTHON))
"""What is registered as it is, in the format of that name; the others are converted first."""
CONVERTED_TOO = frozenset((Kind.TORCHSCRIPT, Kind.SAVEDMODEL))
"""Those of them that are converted unless the user states their contract, which their files lack."""
PROGRAMS = frozenset((Kind.PICKLE, Kind.EXPORTED, *CONVERTED_TOO))
"""What can do anything when it is read or run, as its framework says."""
AS_CODE = frozenset((Kind.PICKLE, Kind.SKOPS, Kind.XGBOOST, Kind.LIGHTGBM, Kind.CATBOOST))
"""What can be served as it is, by code that its framework runs in."""


# By their first bytes, after an offset: what others save, and what to do about it.
_ADVICE = (
    (0, b"\x89HDF", "is an HDF5 file, as Keras saves: write a SavedModel with model.export(FOLDER), and register that"),
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9", "is of torch.save, weights or a pickle that needs its source: {export}"),
    (4, b"TFL3", "is a model of TensorFlow Lite: python -m tf2onnx.convert --tflite FILE --output model.onnx"),
    (0, b"binf", 'is of an old XGBoost: load it with that, and save_model("model.ubj")'),
    (0, b"GGUF", "is a language model of llama.cpp, which is not served here"),
    (0, b"version https://git-lfs", "is a pointer of Git LFS, not the file: git lfs pull"),
    (0, b"\x93NUMPY", "has an array of NumPy, and no model"),
    (0, b"PAR1", "is a table (Parquet), and no model"),
    (257, b"ustar", "is a tar archive: unpack it, and name the model in it"),
    (5, b'\0\0\0{"', "has weights alone (safetensors): {export}"),
    (0, b"<", "is XML or a web page, and no model that is taken here: export ONNX"),
    (0, b"[", "is JSON, but no XGBoost model: write one with Booster.save_model"),
)
_EXPORT = "write the network with torch.export.save(torch.export.export(module, inputs), FILE)"
_PLANS = (b"ptrt", b"ftrt")
# Protocols 2 to 5 of pickle; joblib writes the same. Before them, it began with the name of a class.
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_OLD_PICKLE = re.compile(rb"c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n")
# What joblib compresses with, and reads by itself.
_COMPRESSED: tuple[tuple[tuple[bytes, ...], str, Callable[[], Any]], ...] = (
    ((b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), "gzip", lambda: zlib.decompressobj(47)),
    ((b"BZh",), "bzip2", bz2.BZ2Decompressor),
    ((b"\xfd7zXZ", b"\x5d\x00\x00"), "xz", lzma.LZMADecompressor),
)


def recognise(path: Path) -> Kind:
    """Return what a file is. Raises InvalidArgument with what to do about one that cannot be converted."""
    if path.is_dir():
        return _of_folder(path)
    with read_as("a model file", path, "model"), path.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    if not head:
        raise invalid("model", f"{path} is empty")
    for at, magic, advice in _ADVICE:
        if head.startswith(magic, at):
            raise _refused(path, advice.format(export=_EXPORT))
    if _is_pickle(head):
        return Kind.PICKLE
    if head.startswith(b"PK\x03\x04"):
        # What skops writes, and MLflow by it: a description and arrays.
        return Kind.SKOPS if "schema.json" in names_in(path) else Kind(of_archive(path))
    if head.startswith(_PLANS):
        return Kind.TENSORRT
    if path.suffix == ".py":
        return Kind.PYTHON
    for magics, name, decompressor in _COMPRESSED:
        if head.startswith(magics):
            return _of_compressed(path, head, name, decompressor())
    if head.startswith(b"tree\n"):
        return Kind.LIGHTGBM
    if head.startswith(b"CBM1"):
        return Kind.CATBOOST
    if head.lstrip()[:1] == b"{":
        return _of_object(path, head)
    # The registry says what is wrong with one that is none.
    return Kind.ZIPMAP if _has(path, b"ZipMap") else Kind.ONNX


def _has(path: Path, name: bytes) -> bool:
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(name) >= 0


def _is_pickle(head: bytes) -> bool:
    return head.startswith(_PICKLES) or _OLD_PICKLE.match(head) is not None


def _of_compressed(path: Path, head: bytes, name: str, decompressor: Any) -> Kind:
    """Return PICKLE for one of joblib that is compressed. What is decompressed to look at it is bounded."""
    try:
        inside = decompressor.decompress(head, 1024)
    except (OSError, EOFError, lzma.LZMAError, zlib.error):
        inside = b""
    if _is_pickle(inside):
        return Kind.PICKLE
    raise _refused(path, f"is compressed with {name}: unpack it, and name the model in it")


def _of_folder(path: Path) -> Kind:
    if (path / "saved_model.pb").is_file():
        return Kind.SAVEDMODEL
    if (path / "model.py").is_file():
        return Kind.PYTHON
    if (path / "config.pbtxt").is_file():
        raise invalid("model", f"{path} is a model of Triton: headrace models import triton {path}")
    found = sorted(one.name for one in path.iterdir() if one.suffix in _MODEL_SUFFIXES)
    if found:
        raise _refused(path, f"is a folder with {', '.join(found[:5])}: name the file, {path / found[0]}")
    if any(path.glob("*.safetensors")) and (path / "config.json").is_file():
        raise _refused(path, f"is a folder of Hugging Face: optimum-cli export onnx --model {path} FOLDER writes ONNX")
    raise invalid("model", f"{path} is a folder with no model: no MLmodel, saved_model.pb or model.py")


def _of_object(path: Path, head: bytes) -> Kind:
    """XGBoost writes an object with the member `learner`: as JSON, or as UBJSON, whose keys begin with their length."""
    if b'"learner"' in head or head.startswith(b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner"):
        return Kind.XGBOOST
    if b'"features_info"' in head or b'"oblivious_trees"' in head:
        return Kind.CATBOOST
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return Kind.ONNX
    except RecursionError:  # no model of ours is nested as deeply
        pass
    raise _refused(path, "is JSON, but no XGBoost model: write one with Booster.save_model")


def _refused(path: Path, advice: str) -> InvalidArgument:
    return invalid("model", f"{path} {advice}")
