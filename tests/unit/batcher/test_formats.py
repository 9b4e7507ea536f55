"""Which formats a batcher runs."""

from pathlib import Path

import pytest
from headrace_batcher.backend import formats_of_triton
from headrace_runtime.formats import Format


@pytest.mark.parametrize(
    ("allow_code", "runs"),
    [
        (False, {Format.ONNX, Format.TORCHSCRIPT}),
        (True, {Format.ONNX, Format.TORCHSCRIPT, Format.PT2}),
    ],
)
def test_triton_runs_what_it_has_backends_for_and_code_only_where_that_is_allowed(
    tmp_path: Path, allow_code: bool, runs: set[Format]
):
    for name in ("onnxruntime", "pytorch", "python"):
        (tmp_path / name).mkdir()
    assert set(formats_of_triton(tmp_path, allow_code=allow_code)) == runs
