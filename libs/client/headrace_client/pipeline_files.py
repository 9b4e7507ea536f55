"""Pipelines as files: `pipeline.yaml`, where whatever is wrong is named with its line.

steps:
  normalise: {graph: normalise.onnx, inputs: {pixels: request.pixels}}
  small: {model: digits@v1, inputs: {features: normalise.scaled}, timeout: 50ms}
  large: {model: digits@v2, inputs: {features: normalise.scaled}}
  mean: {combine: mean, quorum: 1, inputs: {a: small.probabilities, b: large.probabilities}}
outputs: {probabilities: mean.output}
fuse: false  # true: one ONNX graph of all steps, run in one execution
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import duration_pb2
from headrace.registry.v1 import pipeline_pb2

from headrace_client.durations import parse_duration
from headrace_client.errors import FieldViolation, InvalidArgument
from headrace_client.yaml_files import FieldLines, composed, line_of

MAX_CHARS = 262_144
SUFFIXES = (".yaml", ".yml")
REQUEST = "request"
"""Stands for the request where a step is named."""
REASON = "PIPELINE_INVALID"

_KIND = pipeline_pb2.Combiner.Kind
COMBINERS = {name.removeprefix("KIND_").lower().replace("_", "-"): name for name, number in _KIND.items() if number}
"""Kinds of combiners as files call them, and as the API does."""
_RUNS = ("model", "graph", "combine")


class PipelineFile(FieldLines):
    """A pipeline that was read. graphs: files of its ONNX artifacts, by name. `located` tells a refusal with lines."""

    def __init__(
        self, pipeline: pipeline_pb2.Pipeline, graphs: Mapping[str, Path], path: Path, lines: Mapping[str, int]
    ) -> None:
        super().__init__(path, "version.pipeline", lines)
        self.pipeline, self.graphs = pipeline, graphs


def is_pipeline(path: Path) -> bool:
    """Return whether a file is to be read as a pipeline, by its name."""
    return path.suffix.lower() in SUFFIXES


def read_pipeline(path: Path) -> PipelineFile:
    """Read a pipeline file. Raises InvalidArgument, naming the line, for what is none."""
    root = composed(path, "a pipeline", "pipeline", max_chars=MAX_CHARS, reason=REASON)
    reader = _Reader(path)
    reader.read(root)
    if reader.wrong:
        first = reader.wrong[0]
        raise InvalidArgument(f"{first.field}: {first.description}", reason=REASON, violations=reader.wrong)
    return PipelineFile(reader.pipeline, reader.graphs, path, reader.lines)


class _Reader:
    """Fills a pipeline from nodes. lines: of each field of the request. wrong: what no field can say."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.pipeline = pipeline_pb2.Pipeline()
        self.graphs: dict[str, Path] = {}
        self.lines: dict[str, int] = {}
        self.wrong: list[FieldViolation] = []

    def read(self, root: yaml.Node | None) -> None:
        if root is None:
            self.wrong.append(FieldViolation(f"{self._path.name}:1", "steps and outputs are missing"))
            return
        parts = self._mapping(root, "", {"steps": self._steps, "outputs": self._outputs, "fuse": self._fuse})
        for name in ("steps", "outputs"):
            if name not in parts:
                self._refuse(root, f"'{name}' is missing")

    def _fuse(self, node: yaml.Node) -> None:
        self.lines["version.pipeline.fuse"] = line_of(node)
        self.pipeline.fuse = self._boolean(node, "fuse")

    def _steps(self, node: yaml.Node) -> None:
        for index, (key, value) in enumerate(self._items(node, "steps", "normalise: {graph: …, inputs: {…}}")):
            name = self._text(key, "the name of a step")
            if name == REQUEST:
                self._refuse(key, f"no step is called '{REQUEST}': that stands for what callers send")
            field = f"version.pipeline.steps[{index}]"
            self.lines[field] = line_of(key)
            self._step(value, name, self.pipeline.steps.add(name=name), field)

    def _step(self, node: yaml.Node, name: str, step: pipeline_pb2.PipelineStep, field: str) -> None:
        combiner = pipeline_pb2.Combiner()
        keys = self._mapping(
            node,
            f"step '{name}'",
            {
                "model": lambda value: self._model(value, step),
                "alias": lambda value: self._alias(value, step),
                "graph": lambda value: self._graph(value, step),
                "combine": lambda value: self._kind(value, combiner),
                "quorum": lambda value: setattr(combiner, "quorum", self._whole(value, "quorum")),
                "weights": lambda value: self._weights(value, combiner),
                "attribute": lambda value: setattr(combiner, "attribute", self._text(value, "attribute")),
                "cases": lambda value: self._cases(value, combiner),
                "default": lambda value: setattr(combiner, "default_input", self._text(value, "default")),
                "inputs": lambda value: self._edges(value, step, field),
                "pool": lambda value: setattr(step, "pool", self._text(value, "pool")),
                "timeout": lambda value: self._duration(value, "timeout", step.timeout),
                "cache": lambda value: self._duration(value, "cache", step.cache_ttl),
                "retries": lambda value: setattr(step, "retries", self._whole(value, "retries")),
                "soft-fail": lambda value: setattr(step, "soft_fail", self._boolean(value, "soft-fail")),
            },
            field,
        )
        runs = [one for one in _RUNS if one in keys]
        if len(runs) != 1:
            self._refuse(node, f"step '{name}' needs one of {', '.join(_RUNS)}; it has {' and '.join(runs) or 'none'}")
        elif runs == ["combine"]:
            step.combiner.CopyFrom(combiner)
        elif combiner.ByteSize():
            self._refuse(node, f"step '{name}': only what combines has quorum, weights, cases, default or attribute")
        if "alias" in keys and "model" not in keys:
            self._refuse(node, f"step '{name}' has an alias of no model")

    def _model(self, node: yaml.Node, step: pipeline_pb2.PipelineStep) -> None:
        model, at, version = self._text(node, "model").partition("@")
        step.model.model = model
        if at and step.model.alias:
            self._refuse(node, "has both a version and an alias: keep one")
        elif at:
            step.model.version = version

    def _alias(self, node: yaml.Node, step: pipeline_pb2.PipelineStep) -> None:
        if step.model.version:
            self._refuse(node, "has both a version and an alias: keep one")
        step.model.alias = self._text(node, "alias")

    def _graph(self, node: yaml.Node, step: pipeline_pb2.PipelineStep) -> None:
        file = Path(self._text(node, "graph"))
        path = self._path.parent / file
        if file.suffix != ".onnx":
            self._refuse(node, f"'{file}' is no ONNX file: its name ends with .onnx")
        elif not path.is_file():
            self._refuse(node, f"there is no file {path}")
        elif self.graphs.setdefault(file.name, path) != path:
            self._refuse(node, f"two files are called '{file.name}': rename one")
        step.graph = file.name

    def _kind(self, node: yaml.Node, combiner: pipeline_pb2.Combiner) -> None:
        kind = self._text(node, "combine")
        if kind not in COMBINERS:
            self._refuse(node, f"'{kind}' must be one of {', '.join(COMBINERS)}")
        else:
            combiner.MergeFrom(pipeline_pb2.Combiner(kind=COMBINERS[kind]))

    def _weights(self, node: yaml.Node, combiner: pipeline_pb2.Combiner) -> None:
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node, "weights must be a list of numbers, in the order of the inputs")
            return
        for item in node.value:
            try:
                combiner.weights.append(float(self._text(item, "a weight")))
            except ValueError:
                self._refuse(item, f"'{item.value}' is no number")

    def _cases(self, node: yaml.Node, combiner: pipeline_pb2.Combiner) -> None:
        for key, value in self._items(node, "cases", "de: german"):
            combiner.cases[self._text(key, "a case")] = self._text(value, "a case")

    def _edges(self, node: yaml.Node, step: pipeline_pb2.PipelineStep, field: str) -> None:
        for number, (key, value) in enumerate(self._items(node, "inputs", "features: normalise.scaled")):
            self.lines[f"{field}.inputs[{number}]"] = line_of(key)
            step.inputs.add(input=self._text(key, "an input"), source=self._source(value))

    def _outputs(self, node: yaml.Node) -> None:
        for index, (key, value) in enumerate(self._items(node, "outputs", "scores: mean.output")):
            self.lines[f"version.pipeline.outputs[{index}]"] = line_of(key)
            self.pipeline.outputs.add(name=self._text(key, "an output"), source=self._source(value))

    def _source(self, node: yaml.Node) -> pipeline_pb2.TensorSource:
        text = self._text(node, "a tensor")
        step, dot, tensor = text.partition(".")
        if not (step and dot and tensor):
            self._refuse(node, f"'{text}' must be STEP.TENSOR, or {REQUEST}.TENSOR")
        return pipeline_pb2.TensorSource(step="" if step == REQUEST else step, tensor=tensor)

    def _duration(self, node: yaml.Node, what: str, into: duration_pb2.Duration) -> None:
        text = self._text(node, what)
        duration = parse_duration(text)
        if duration is None:
            self._refuse(node, f"'{text}' is no duration; write a number and a unit, such as 50ms or 2s")
        else:
            into.FromTimedelta(duration)

    def _whole(self, node: yaml.Node, what: str) -> int:
        text = self._text(node, what)
        if text.isascii() and text.isdecimal() and len(text) < 10:
            return int(text)
        self._refuse(node, f"'{text}' is no whole number")
        return 0

    def _boolean(self, node: yaml.Node, what: str) -> bool:
        text = self._text(node, what)
        if text not in ("true", "false"):
            self._refuse(node, f"'{text}' must be true or false")
        return text == "true"

    def _text(self, node: yaml.Node, what: str) -> str:
        if isinstance(node, yaml.ScalarNode):
            return node.value
        self._refuse(node, f"{what} must be one value")
        return ""

    def _items(self, node: yaml.Node, what: str, such_as: str) -> list[tuple[yaml.Node, yaml.Node]]:
        """Return the pairs of a mapping, each name once."""
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, f"{what} must be names with values, such as `{such_as}`")
            return []
        first: dict[str, int] = {}
        for key, _ in node.value:
            name = str(key.value)
            if name in first:
                self._refuse(key, f"'{name}' is there twice, first in line {first[name]}")
            first.setdefault(name, line_of(key))
        return node.value

    def _mapping(
        self, node: yaml.Node, what: str, known: Mapping[str, Callable[[yaml.Node], Any]], field: str = ""
    ) -> set[str]:
        """Read each part of a mapping by its name; return the names that are there."""
        found = set()
        for key, value in self._items(node, what or "a pipeline", "steps: {…}"):
            name = str(key.value)
            if name not in known:
                self._refuse(key, f"'{name}' is not known here; known: {', '.join(known)}")
                continue
            found.add(name)
            if field:
                self.lines.setdefault(f"{field}.{_FIELDS.get(name, name)}", line_of(key))
            known[name](value)
        return found

    def _refuse(self, node: yaml.Node, message: str) -> None:
        self.wrong.append(FieldViolation(f"{self._path.name}:{line_of(node)}", message))


# How the request calls what the file calls otherwise.
_FIELDS = {
    "combine": "combiner",
    "quorum": "combiner.quorum",
    "weights": "combiner.weights",
    "attribute": "combiner.attribute",
    "cases": "combiner.cases",
    "default": "combiner.default_input",
    "alias": "model.alias",
    "soft-fail": "soft_fail",
    "cache": "cache_ttl",
}
