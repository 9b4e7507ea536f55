"""Combiners as ONNX graphs, which batchers run like any model: the router does not read tensors.

Every graph has an input for each of the step's, rows first, and `present`, a mask of those that have a value; the
others are zeros. The same combiner gives the same bytes, so that its file is stored once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace_runtime.contract import FLOATS
from headrace_runtime.pipelines.flow import Port, Signature
from headrace_runtime.pipelines.graph import AGREEMENT, OUTPUT, PRESENT, SELECTOR, Combiner, Kind

if TYPE_CHECKING:
    import onnx

# What every ONNX Runtime of the last years reads; texts are compared since operator set 19.
OPSET, IR_VERSION = 17, 8
TEXT_OPSET, TEXT_IR_VERSION = 19, 9

ELEMENTS = {
    "FP32": 1, "UINT8": 2, "INT8": 3, "UINT16": 4, "INT16": 5, "INT32": 6, "INT64": 7, "BYTES": 8, "BOOL": 9,
    "FP16": 10, "FP64": 11, "UINT32": 12, "UINT64": 13, "BF16": 16,
}  # fmt: skip

# In what each datatype is selected: ONNX Runtime has no `Where` for the others.
_SELECTED_IN = {
    "FP16": "FP32",
    "BOOL": "UINT8",
    "INT8": "INT64",
    "INT16": "INT64",
    "UINT16": "INT64",
    "UINT32": "INT64",
}


def graph_of(combiner: Combiner, signature: Signature) -> bytes:
    """Return the ONNX file of a combiner whose edges fit."""
    voters = [port for port in signature.inputs if port.name not in (PRESENT, SELECTOR)]
    selects = combiner.kind is Kind.SWITCH and not combiner.attribute
    if not selects:  # else an input may have that name
        voters = [port for port in signature.inputs if port.name != PRESENT]
    graph = _Graph()
    match combiner.kind:
        case Kind.MEAN | Kind.WEIGHTED:
            _mean(graph, voters, combiner)
        case Kind.VOTE:
            _vote(graph, voters, combiner)
        case Kind.STACK:
            _stack(graph, voters)
        case Kind.FIRST_GOOD:
            _select(graph, voters, _first_good(graph, voters))
        case Kind.SWITCH:
            selector = next((port for port in signature.inputs if selects and port.name == SELECTOR), None)
            present = graph.node("Cast", PRESENT, to=ELEMENTS["FP32"])
            at = graph.node("ArgMax", present, axis=1, keepdims=0) if selector is None else None
            _select(graph, voters, at or _selected(graph, voters, combiner, selector))
    return graph.model(signature)


class _Graph:
    """Nodes under construction. Names of values begin with a slash: no tensor of a contract needs that."""

    def __init__(self) -> None:
        # Here, not above: most of what imports this never writes a graph.
        from onnx import helper

        self._helper = helper
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, to_output: str = "", **attributes: Any) -> str:
        output = to_output or f"/{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, datatype: str, values: list[Any], *, scalar: bool = False) -> str:
        name = f"/c{len(self._constants)}"
        dims = [] if scalar else [len(values)]
        self._constants.append(self._helper.make_tensor(name, ELEMENTS[datatype], dims, values))
        return name

    def cast(self, value: str, datatype: str, to: str, **more: str) -> str:
        if datatype != to:
            return self.node("Cast", value, to=ELEMENTS[to], **more)
        return self.node("Identity", value, **more) if more else value

    def model(self, signature: Signature) -> bytes:
        ports = (*signature.inputs, *signature.outputs)
        texts = any(port.datatype == "BYTES" for port in ports)
        ir_version, opset = (TEXT_IR_VERSION, TEXT_OPSET) if texts else (IR_VERSION, OPSET)
        graph = self._helper.make_graph(
            self._nodes,
            "combiner",
            [self._value(port) for port in signature.inputs],
            [self._value(port) for port in signature.outputs],
            self._constants,
        )
        imports = [self._helper.make_opsetid("", opset)]
        model = self._helper.make_model(graph, opset_imports=imports, producer_name="headrace", ir_version=ir_version)
        return model.SerializeToString(deterministic=True)

    def _value(self, port: Port) -> onnx.ValueInfoProto:
        # Dimensions that vary need no name: tensors of one combiner are alike whatever they are.
        shape = ["rows", *(None if size < 0 else size for size in port.shape)]
        return self._helper.make_tensor_value_info(port.name, ELEMENTS[port.datatype], shape)


def _shares(graph: _Graph, voters: list[Port], combiner: Combiner, datatype: str = "FP32") -> str:
    """Return the weight of each voter that is present: [rows, voters], adding up to 1."""
    present = graph.node("Cast", PRESENT, to=ELEMENTS[datatype])
    if combiner.weights:
        present = graph.node("Mul", present, graph.constant(datatype, list(combiner.weights)))
    total = graph.node("ReduceSum", present, graph.constant("INT64", [1]), keepdims=1)
    return graph.node("Div", present, total)


def _mean(graph: _Graph, voters: list[Port], combiner: Combiner) -> None:
    datatype = voters[0].datatype
    within = "FP64" if datatype == "FP64" else "FP32"
    shares = _shares(graph, voters, combiner, within)
    parts = []
    for number, port in enumerate(voters):
        share = _column(graph, shares, number, len(port.shape))
        parts.append(graph.node("Mul", graph.cast(port.name, datatype, within), share))
    graph.cast(graph.node("Sum", *parts), within, datatype, to_output=OUTPUT)


def _column(graph: _Graph, table: str, number: int, row_rank: int) -> str:
    """Return one column of [rows, voters] with a dimension of 1 for each of a row."""
    column = graph.node("Gather", table, graph.constant("INT64", [number], scalar=True), axis=1)
    if not row_rank:
        return column
    return graph.node("Unsqueeze", column, graph.constant("INT64", list(range(1, row_rank + 1))))


def _vote(graph: _Graph, voters: list[Port], combiner: Combiner) -> None:
    if voters[0].datatype in FLOATS:
        _vote_by_scores(graph, voters, combiner)
    else:
        _vote_by_labels(graph, voters, combiner)


def _vote_by_scores(graph: _Graph, voters: list[Port], combiner: Combiner) -> None:
    classes = voters[0].shape[0]
    shares = _shares(graph, voters, combiner)
    depth, off_on = graph.constant("INT64", [classes], scalar=True), graph.constant("FP32", [0.0, 1.0])
    parts = []
    for number, port in enumerate(voters):
        scores = graph.cast(port.name, port.datatype, "FP32")
        label = graph.node("ArgMax", scores, axis=1, keepdims=0)
        parts.append(
            graph.node("Mul", graph.node("OneHot", label, depth, off_on, axis=1), _column(graph, shares, number, 1))
        )
    graph.node("Sum", *parts, to_output=OUTPUT)
    graph.node("ReduceMax", OUTPUT, axes=[1], keepdims=0, to_output=AGREEMENT)


def _vote_by_labels(graph: _Graph, voters: list[Port], combiner: Combiner) -> None:
    datatype = voters[0].datatype
    column = graph.constant("INT64", [-1, 1])
    labels = graph.node("Concat", *(graph.node("Reshape", port.name, column) for port in voters), axis=1)
    shares = _shares(graph, voters, combiner)
    alike = graph.node(
        "Equal",
        graph.node("Unsqueeze", labels, graph.constant("INT64", [2])),
        graph.node("Unsqueeze", labels, graph.constant("INT64", [1])),
    )
    weighed = graph.node(
        "Mul",
        graph.node("Cast", alike, to=ELEMENTS["FP32"]),
        graph.node("Unsqueeze", shares, graph.constant("INT64", [1])),
    )
    votes = graph.node("ReduceSum", weighed, graph.constant("INT64", [2]), keepdims=0)
    # What stands for an absent voter must not win, though it may look like the label that does.
    votes = graph.node("Mul", votes, graph.node("Cast", PRESENT, to=ELEMENTS["FP32"]))
    winner = graph.node("ArgMax", votes, axis=1, keepdims=1)
    found = graph.node("GatherElements", labels, winner, axis=1)
    shape = [-1, *voters[0].shape]
    graph.node("Reshape", found, graph.constant("INT64", shape), to_output=OUTPUT)
    # Rounding must not make a vote of all fall short of 1.
    agreement = graph.node("ReduceMax", votes, axes=[1], keepdims=0) if datatype != "BYTES" else _max(graph, votes)
    graph.node("Min", agreement, graph.constant("FP32", [1.0]), to_output=AGREEMENT)


def _max(graph: _Graph, votes: str) -> str:
    """As `ReduceMax` up to operator set 17 did, which takes the axes as an input from 18 on."""
    return graph.node("ReduceMax", votes, graph.constant("INT64", [1]), keepdims=0)


def _stack(graph: _Graph, voters: list[Port]) -> None:
    columns = [_flat(graph, graph.cast(port.name, port.datatype, "FP32"), len(port.shape)) for port in voters]
    graph.node("Concat", *columns, axis=1, to_output=OUTPUT)


def _flat(graph: _Graph, value: str, row_rank: int) -> str:
    """Return a tensor as [rows, values of a row]."""
    if row_rank == 1:
        return value
    if row_rank == 0:
        return graph.node("Unsqueeze", value, graph.constant("INT64", [1]))
    return graph.node("Reshape", value, graph.constant("INT64", [0, -1]))


def _first_good(graph: _Graph, voters: list[Port]) -> str:
    """Return the number of the first voter that is present and finite, else of the first that is present: [rows]."""
    present = graph.node("Cast", PRESENT, to=ELEMENTS["FP32"])
    if voters[0].datatype not in FLOATS:
        return graph.node("ArgMax", present, axis=1, keepdims=0)
    finite = []
    for port in voters:
        within = "FP64" if port.datatype == "FP64" else "FP32"
        value = _flat(graph, graph.cast(port.name, port.datatype, within), len(port.shape))
        bad = graph.node("Or", graph.node("IsNaN", value), graph.node("IsInf", value))
        worst = graph.node("ReduceMax", graph.node("Cast", bad, to=ELEMENTS["FP32"]), axes=[1], keepdims=1)
        finite.append(graph.node("Sub", graph.constant("FP32", [1.0]), worst))
    good = graph.node("Mul", graph.node("Concat", *finite, axis=1), present)
    return graph.node("ArgMax", graph.node("Add", good, present), axis=1, keepdims=0)


def _selected(graph: _Graph, voters: list[Port], combiner: Combiner, selector: Port | None) -> str:
    """Return the number of the voter that a selector names: [rows]."""
    assert selector is not None
    numbers = {port.name: number for number, port in enumerate(voters)}
    whole = selector.datatype != "BYTES"
    value = graph.cast(selector.name, selector.datatype, "INT64") if selector.datatype == "INT32" else selector.name
    value = graph.node("Reshape", value, graph.constant("INT64", [-1]))
    at = graph.constant("INT64", [numbers[combiner.default_input]])
    for case, name in sorted(combiner.cases.items()):
        wanted = graph.constant("INT64", [int(case)]) if whole else graph.constant("BYTES", [case.encode()])
        chosen = graph.constant("INT64", [numbers[name]])
        at = graph.node("Where", graph.node("Equal", value, wanted), chosen, at)
    return at


def _select(graph: _Graph, voters: list[Port], at: str) -> None:
    """Give, of each row, the voter with that number."""
    datatype = voters[0].datatype
    within = _SELECTED_IN.get(datatype, datatype)
    rank = len(voters[0].shape)
    found = graph.cast(voters[0].name, datatype, within)
    for number, port in list(enumerate(voters))[1:]:
        here = graph.node("Equal", at, graph.constant("INT64", [number]))
        if rank:
            here = graph.node("Unsqueeze", here, graph.constant("INT64", list(range(1, rank + 1))))
        found = graph.node("Where", here, graph.cast(port.name, datatype, within), found)
    graph.cast(found, within, datatype, to_output=OUTPUT)
