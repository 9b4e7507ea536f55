"""What the README of libs/runtime shows works as it is shown, on a real store and ONNX Runtime."""

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_runtime.artifacts.cache import ArtifactError

from tests.kit.batcher.service import place_for, put_blob
from tests.kit.models import onnx_models
from tests.kit.router.fake_control import resolved_version
from tests.kit.stores.servers import S3Store

README = Path(__file__).parents[3] / "libs" / "runtime" / "README.md"


def example() -> Any:
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found.group(1), names)
    return names["score"]


@pytest.mark.long
async def test_the_example_scores_a_hundred_rows_with_a_registered_version(s3: S3Store, tmp_path: Path):
    model = onnx_models.linear(features=4, outputs=3)
    digest = sha256(model.content).hexdigest()
    await put_blob(s3, digest, model.content)
    version = resolved_version(
        "iris",
        "v3",
        inputs=model.contract.inputs,
        outputs=model.contract.outputs,
        artifacts=[registry_pb2.Artifact(name="model.onnx", type=registry_pb2.Artifact.TYPE_ONNX, sha256=digest)],
    )
    table = np.random.default_rng(7).normal(size=(100, 4)).astype("<f4")
    expected = model.expected({model.contract.inputs[0].name: table})[model.contract.outputs[0].name]
    np.testing.assert_allclose(await example()(place_for(s3, tmp_path), version, table), expected, rtol=1e-5)


async def test_the_example_does_not_load_a_file_that_is_not_what_was_registered(s3: S3Store, tmp_path: Path):
    model = onnx_models.linear(features=4, outputs=3)
    digest = sha256(b"what was registered, with the same name").hexdigest()
    await put_blob(s3, digest, model.content)
    version = resolved_version("iris", "v3", artifacts=[registry_pb2.Artifact(name="model.onnx", sha256=digest)])
    place = replace(place_for(s3, tmp_path), fetch_timeout_s=10.0)
    with pytest.raises(ArtifactError, match="it is damaged"):
        await example()(place, version, np.zeros((1, 4), "<f4"))
