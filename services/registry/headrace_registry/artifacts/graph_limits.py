"""Size of a graph once loaded: a file of a few kB may expand to billions of nodes.

Runtimes inline a function at each of its calls, and functions call functions. Here each function is counted once,
without inlining.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# The largest models of the field that fit into one file have some tens of thousands.
MAX_NODES = 100_000
# Of nodes, in one execution, as far as the trip counts of loops are constants.
MAX_RUNS = 100_000_000

Constants = Mapping[str, int]


class TooLargeError(Exception):
    """Loading or executing the graph would take too much; the message says what of it."""


@dataclass(frozen=True, slots=True)
class Size:
    """nodes: with functions expanded. runs: of nodes, in one execution."""

    nodes: int = 0
    runs: int = 0

    def plus(self, other: Size, times: int = 1) -> Size:
        """Return both together, the other one's nodes executed so many times."""
        return Size(self.nodes + other.nodes, self.runs + times * other.runs)


def check(model: onnx.ModelProto) -> Size:
    """Return how large a model's graph is. Raises TooLargeError, also for loops that have no bound."""
    counting = _Counting({(one.domain, one.name, one.overload): one for one in model.functions})
    size = counting.graph(model.graph, {})
    for key in counting.functions:
        counting.function(key)  # a runtime may look into those that nothing calls, too
    return size


class _Counting:
    def __init__(self, functions: Mapping[tuple[str, str, str], onnx.FunctionProto]) -> None:
        self.functions = functions
        self._known: dict[tuple[str, str, str], Size] = {}
        self._open: set[tuple[str, str, str]] = set()

    def graph(self, graph: onnx.GraphProto, outer: Constants) -> Size:
        initial = {one.name: value for one in graph.initializer if (value := _whole_number(one)) is not None}
        return self._nodes(graph.node, {**outer, **initial})

    def function(self, key: tuple[str, str, str]) -> Size:
        if key in self._known:
            return self._known[key]
        if key in self._open:
            raise TooLargeError(f"has a function '{key[1][:100]}' that calls itself")
        self._open.add(key)
        size = self._known[key] = self._nodes(self.functions[key].node, {})
        return size

    def _nodes(self, nodes: Iterable[onnx.NodeProto], outer: Constants) -> Size:
        known = {**outer}
        size = Size()
        for node in nodes:
            if node.op_type == "Constant" and (value := _constant(node)) is not None and node.output:
                known[node.output[0]] = value
            size = size.plus(self._node(node, known))
            _refuse(size)
        return size

    def _node(self, node: onnx.NodeProto, known: Constants) -> Size:
        size = Size(1, 1)
        called = (node.domain, node.op_type, node.overload)
        if called in self.functions:
            size = size.plus(self.function(called))
        times = _trips(node, known) if _is_loop(node) else 1
        for attribute in node.attribute:
            for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                size = size.plus(self.graph(graph, known), times)
        return size


def _refuse(size: Size) -> None:
    if size.nodes > MAX_NODES:
        raise TooLargeError(f"has more than {MAX_NODES} nodes once its functions are expanded")
    if size.runs > MAX_RUNS:
        raise TooLargeError(f"executes more than {MAX_RUNS} nodes for one answer: give its loops lower trip counts")


def _is_loop(node: onnx.NodeProto) -> bool:
    return node.op_type == "Loop" and node.domain in ("", "ai.onnx")


def _trips(node: onnx.NodeProto, known: Constants) -> int:
    """Return how often a loop goes round: 1 when that is computed from the inputs. Raises TooLargeError."""
    if not node.input or not node.input[0]:
        raise TooLargeError(f"has a loop '{node.name[:100]}' without a trip count: nothing bounds it")
    return max(1, known.get(node.input[0], 1))


def _constant(node: onnx.NodeProto) -> int | None:
    for attribute in node.attribute:
        if attribute.name == "value":
            return _whole_number(attribute.t)
        if attribute.name == "value_int":
            return attribute.i
    return None


def _whole_number(tensor: onnx.TensorProto) -> int | None:
    """Return the only value of an INT64 tensor, None for all else."""
    if tensor.data_type != tensor.INT64 or any(size != 1 for size in tensor.dims):
        return None
    if len(tensor.raw_data) == 8:
        return int.from_bytes(tensor.raw_data, "little", signed=True)
    return tensor.int64_data[0] if len(tensor.int64_data) == 1 else None
