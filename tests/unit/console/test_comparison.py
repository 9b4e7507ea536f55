"""Versions side by side."""

import doctest

from headrace.registry.v1 import registry_pb2
from headrace_console.pages import comparison
from headrace_console.pages.comparison import sections_of


def version(name: str, *, accuracy: float, size: int, **parameters: str) -> registry_pb2.ModelVersion:
    made = registry_pb2.ModelVersion(name=f"models/digits/versions/{name}", parameters=parameters, created_by="ada")
    made.metrics.add(name="accuracy", value=accuracy)
    made.contract.inputs.add(name="image", datatype="FP32", shape=[64])
    made.artifacts.add(name="model.onnx", size_bytes=size, sha256="ab" * 32)
    return made


def test_what_versions_have_is_side_by_side_and_what_differs_is_marked():
    found = sections_of(
        [version("v1", accuracy=0.9, size=1000, depth="3"), version("v2", accuracy=0.95, size=2_000_000)]
    )
    rows = {(title, row.name): (list(row.values), row.differs) for title, rows in found for row in rows}
    assert rows["Metrics", "accuracy"] == (["0.9", "0.95"], True)
    assert rows["Contract", "input image"] == (["FP32 rows × 64"] * 2, False)
    assert rows["About", "Size of all files"] == (["1 kB", "2 MB"], True)
    assert rows["About", "Registered by"] == (["ada", "ada"], False)
    assert rows["Files", "model.onnx"][1]
    assert rows["Parameters", "depth"] == (["3", "–"], True)


def test_production_and_the_latest_are_compared_unless_the_address_says_which():
    assert doctest.testmod(comparison).failed == 0


def test_a_part_that_no_version_has_is_left_out():
    assert "Parameters" not in dict(sections_of([version("v1", accuracy=1, size=1)]))
