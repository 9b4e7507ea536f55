"""ONNX files that somebody else's wheels carry, as the registry reads them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from headrace_client.recognition import Kind, recognise
from headrace_registry.artifacts import onnx_check

pytestmark = [pytest.mark.recipes, pytest.mark.timeout(600)]

WHEELS = ("magika==1.0.3", "rapidocr-onnxruntime==1.4.4", "silero-vad==6.2.3")
# What a row of zeros is to them: an answer, or a reason to ask for rows that they take.
ANSWERED = {
    "magika/models/standard_v3_3/model.onnx": True,
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx": True,
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx": True,
    "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": True,
    "silero_vad/data/silero_vad_half.onnx": False,
}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheels carry."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")
    subprocess.run([*pip, "--dest", folder, *WHEELS], check=True, timeout=300)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(folder, [name for name in opened.namelist() if name.endswith(".onnx")])
    return folder


@pytest.mark.parametrize(("name", "answered"), ANSWERED.items())
def test_a_published_file_says_what_it_takes_and_whether_zeros_do(unpacked: Path, name: str, answered: bool) -> None:
    path = unpacked / name
    assert recognise(path) is Kind.ONNX
    found = onnx_check.read(str(path))
    assert found.inputs
    assert found.outputs
    assert found.trial is not None
    assert (found.trial.problem == "") is answered
    assert answered or "a row of zeros" in found.trial.problem
