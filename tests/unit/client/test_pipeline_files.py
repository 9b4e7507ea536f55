"""Pipelines in files: what becomes of one, and that whatever is wrong is told with its line."""

from datetime import timedelta
from pathlib import Path

import pytest
from headrace.registry.v1 import pipeline_pb2
from headrace_client.cli.graphs import as_mermaid, levels, limits
from headrace_client.durations import parse_duration
from headrace_client.errors import FieldViolation, InvalidArgument, Unavailable
from headrace_client.pipeline_files import read_pipeline

from tests.kit.router.pipelines import composed

ENSEMBLE = """\
# Two classifiers, one answer.
steps:
  normalise:
    graph: graphs/normalise.onnx
    inputs: {pixels: request.image}
  small:
    model: digits@v1
    inputs: {features: normalise.scaled}
    timeout: 50ms
    retries: 1
    pool: cpu
  large:
    model: digits
    alias: champion
    inputs: {features: normalise.scaled}
    soft-fail: true
    cache: 10m
  pick:
    combine: switch
    attribute: country
    cases: {de: a}
    default: b
    inputs:
      a: small.label
      b: large.label
  mean:
    combine: weighted
    weights: [2, 0.5]
    quorum: 1
    inputs: {a: small.probabilities, b: large.probabilities}
outputs:
  label: pick.output
  probabilities: mean.output
"""


@pytest.fixture
def written(tmp_path: Path):
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "normalise.onnx").write_bytes(b"onnx")

    def write(text: str) -> Path:
        path = tmp_path / "pipeline.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_file_becomes_the_pipeline_that_it_says(written):
    found = read_pipeline(written(ENSEMBLE))
    votes = {"a": "small.probabilities", "b": "large.probabilities"}
    assert found.pipeline == composed(
        {
            "normalise": {"graph": "normalise.onnx", "inputs": {"pixels": "request.image"}},
            "small": {
                "model": "digits@v1",
                "inputs": {"features": "normalise.scaled"},
                "timeout": "0.050s",
                "retries": 1,
                "pool": "cpu",
            },
            "large": {
                "model": "digits@@champion",
                "inputs": {"features": "normalise.scaled"},
                "soft_fail": True,
                "cache_ttl": "600s",
            },
            "pick": {
                "combiner": {"kind": "KIND_SWITCH", "attribute": "country", "cases": {"de": "a"}, "default_input": "b"},
                "inputs": {"a": "small.label", "b": "large.label"},
            },
            "mean": {"combiner": {"kind": "KIND_WEIGHTED", "weights": [2, 0.5], "quorum": 1}, "inputs": votes},
        },
        {"label": "pick.output", "probabilities": "mean.output"},
    )
    assert list(found.graphs) == ["normalise.onnx"]


def test_a_file_may_ask_for_one_graph(written):
    assert not read_pipeline(written(ENSEMBLE)).pipeline.fuse
    assert read_pipeline(written(ENSEMBLE + "fuse: true\n")).pipeline.fuse


def wrong(written, text: str) -> list[str]:
    with pytest.raises(InvalidArgument) as refused:
        read_pipeline(written(text))
    return [f"{one.field}: {one.description}" for one in refused.value.violations] or [str(refused.value)]


STEP = "steps:\n  a:\n    model: digits\n    inputs: {x: request.x}\n"
OUTPUTS = "outputs: {y: a.y}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1: steps and outputs are missing"),
        ("- 1\n", "1: a pipeline must be names with values, such as `steps: {…}`"),
        (STEP, "1: 'outputs' is missing"),
        (STEP + "    pools: cpu\n" + OUTPUTS, "5: 'pools' is not known here; known: model, alias, graph, combine,"),
        (STEP + "    retries: many\n" + OUTPUTS, "5: 'many' is no whole number"),
        (STEP + "    timeout: soon\n" + OUTPUTS, "5: 'soon' is no duration; write a number and a unit"),
        (STEP + "    cache: always\n" + OUTPUTS, "5: 'always' is no duration; write a number and a unit"),
        (STEP + "    soft-fail: maybe\n" + OUTPUTS, "5: 'maybe' must be true or false"),
        (STEP + "    quorum: 1\n" + OUTPUTS, "3: step 'a': only what combines has quorum"),
        (STEP + "    combine: mean\n" + OUTPUTS, "3: step 'a' needs one of model, graph, combine; it has model and"),
        (STEP.replace("model: digits", "combine: magic") + OUTPUTS, "3: 'magic' must be one of mean, weighted, vote"),
        (STEP.replace("model: digits", "graph: none.onnx") + OUTPUTS, "3: there is no file"),
        (STEP.replace("model: digits", "graph: model.pt") + OUTPUTS, "3: 'model.pt' is no ONNX file"),
        (STEP.replace("request.x", "request") + OUTPUTS, "4: 'request' must be STEP.TENSOR, or request.TENSOR"),
        (STEP.replace("  a:", "  request:") + OUTPUTS, "2: no step is called 'request'"),
        (STEP + "  a:\n    model: iris\n    inputs: {}\n" + OUTPUTS, "5: 'a' is there twice, first in line 2"),
        (STEP.replace("digits", "digits@v1") + "    alias: best\n" + OUTPUTS, "5: has both a version and an alias"),
        ("steps: [\n", ""),
        ("a: " * 200_000, ""),
        ("[" * 20_000, ""),
    ],
)
def test_what_is_wrong_is_told_with_its_line(written, text, told):
    found = wrong(written, text)
    assert any(one.startswith(f"pipeline.yaml:{told}" if told else "") for one in found)


def test_a_refusal_of_the_registry_is_told_with_the_line_of_its_edge(written):
    found = read_pipeline(written(ENSEMBLE))
    error = InvalidArgument(
        "no",
        violations=[
            FieldViolation("version.pipeline.steps[1].inputs[0]", "does not fit"),
            FieldViolation("version.pipeline.steps[3].combiner.cases[de]", "no"),
            FieldViolation("version.pipeline.outputs[1].source.step", "no"),
            FieldViolation("version.pipeline.steps[2].name", "no"),
        ],
    )
    lines = [one.field for one in found.located(error).violations]
    assert lines == ["pipeline.yaml:8", "pipeline.yaml:21", "pipeline.yaml:33", "pipeline.yaml:12"]
    away = Unavailable("away")
    assert found.located(away) is away


def test_a_pipeline_is_drawn_with_what_each_step_runs(written):
    found = read_pipeline(written(ENSEMBLE))
    assert [[step.name for step in level] for level in levels(found.pipeline)] == [
        ["normalise"],
        ["small", "large"],
        ["pick", "mean"],
    ]
    drawn = as_mermaid(found.pipeline, {}).splitlines()
    assert drawn[0] == "flowchart TD"
    assert '    step2["small<br>digits@v1"]' in drawn
    assert '    step5{{"mean<br>weighted, 1 of 2"}}' in drawn
    assert '    request -- "image" --> step1' in drawn
    assert '    step5 -- "probabilities" --> answer' in drawn


@pytest.mark.parametrize(("cache", "told"), [("1500ms", "1.5 s"), ("10m", "600 s"), ("5ms", "0.005 s")])
def test_a_step_says_for_how_long_it_is_kept(cache: str, told: str):
    pipeline = composed({"a": {"model": "m", "inputs": {"x": "request.x"}}}, {"y": "a.y"})
    pipeline.steps[0].cache_ttl.FromTimedelta(parse_duration(cache) or timedelta())
    assert limits(pipeline.steps[0]) == f"  (cached for {told})"


def test_names_of_tensors_do_not_break_a_picture():
    pipeline = composed({"end": {"model": "m", "inputs": {"x": 'request.a"<b>'}}}, {"y": "end.y"})
    drawn = as_mermaid(pipeline, {})
    assert 'request -- "a#quot;#lt;b#gt;" --> step1' in drawn
    assert isinstance(pipeline, pipeline_pb2.Pipeline)
