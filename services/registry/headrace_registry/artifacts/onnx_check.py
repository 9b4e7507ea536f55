"""Reads what an ONNX file declares. Run as a program, it does so in a process with resource limits:

python -m headrace_registry.artifacts.onnx_check FILE MAX_MEMORY_BYTES MAX_CPU_S

It prints a line of JSON when the model is loaded, and another when it was run: {"file": …} with inputs and outputs, or
{"refused": "why"}. An uploaded file may exhaust memory, hang or crash; here it ends only this process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from headrace_servicekit.confinement import confine, first_line

from headrace_registry.artifacts import external_data, graph_limits, trial, trial_rows
from headrace_registry.artifacts.refusals import RefusedError
from headrace_registry.artifacts.trial_rows import Categories
from headrace_registry.decisions import file_contract
from headrace_registry.decisions.files import ModelFile, ModelPort, Trial

if TYPE_CHECKING:
    import onnx

MAX_PORTS = 256
# The limit of a protobuf message.
MAX_BYTES = 2**31 - 1

# ONNX element types by number → datatypes of the Open Inference Protocol. The others (complex, 4 and 8 bit floats) have
# none.
_DATATYPES = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "BYTES",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
    12: "UINT32",
    13: "UINT64",
    16: "BF16",
}


def read(path: str) -> ModelFile:
    """Return what an ONNX file declares, and whether it runs. Raises RefusedError."""
    return Check(path).tried()


class Check:
    """One file in two steps, so that what it declares is known whatever becomes of running it. Raises RefusedError."""

    def __init__(self, path: str) -> None:
        # Here, not above: the service itself never loads the parser.
        import onnx.checker

        if os.stat(path).st_size > MAX_BYTES:
            raise RefusedError("is larger than one ONNX file can be, 2 GiB")
        with open(path, "rb") as opened:
            content = opened.read()
        self.file, self._categories = _declared(content)
        try:
            # From the same bytes, and with the model that was read above gone: large weights are in memory twice, no
            # more.
            onnx.checker.check_model(content)
        except onnx.checker.ValidationError as error:
            raise RefusedError(f"is not a valid ONNX model: {first_line(error)}") from None
        del content
        self._contract = file_contract.stated(self.file)
        self._loaded = None if self._contract is None else trial.load(path, self._contract)

    def tried(self) -> ModelFile:
        """Return what the file declares, and what became of running a row by the contract that it states itself."""
        return replace(self.file, trial=self._tried())

    def _tried(self) -> Trial | None:
        if self._contract is None or self._loaded is None:
            return None
        if isinstance(self._loaded, Trial):
            return self._loaded
        return trial.run(self._loaded, self._contract, trial_rows.made_by_itself(self._contract, self._categories))


def _declared(content: bytes) -> tuple[ModelFile, Categories]:
    """Return inputs and outputs of a file, which need not be valid otherwise, and the categories that it knows."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_from_string(content)
    except DecodeError:
        raise RefusedError("is not an ONNX model: its bytes are not a ModelProto") from None
    if not model.graph.node:
        raise RefusedError("is not an ONNX model: it has no graph")
    _refuse_external_data(model)
    _refuse_many(model)
    try:
        graph_limits.check(model)
    except graph_limits.TooLargeError as error:
        raise RefusedError(str(error)) from None
    defaults = {tensor.name for tensor in model.graph.initializer}
    # Before IR version 4 every weight was also an input; such inputs have a default.
    inputs = tuple(_port(value, required=value.name not in defaults) for value in model.graph.input)
    if model.ir_version < 4:
        inputs = tuple(port for port in inputs if port.required)
    outputs = tuple(_port(value, required=True) for value in model.graph.output)
    return ModelFile(inputs, outputs), trial_rows.categories_of(model)


def _refuse_many(model: onnx.ModelProto) -> None:
    if model.ir_version < 4:
        return
    for side, ports in (("inputs", model.graph.input), ("outputs", model.graph.output)):
        if len(ports) > MAX_PORTS:
            raise RefusedError(f"has {len(ports)} {side}; at most {MAX_PORTS} can be served")


def _refuse_external_data(model: onnx.ModelProto) -> None:
    try:
        found = external_data.first(model)
    except external_data.TooLargeError as error:
        raise RefusedError(str(error)) from None
    if found is not None:
        place, name = found
        raise RefusedError(
            f"keeps the data of '{name[:100]}' in another file, at {place[:1000]}: save the model as one file, "
            "onnx.save(model, path, save_as_external_data=False), torch.onnx.export(…, external_data=False)"
        )


def _port(value: onnx.ValueInfoProto, *, required: bool) -> ModelPort:
    if "\x00" in value.name:  # the database would not take what is recorded of the file
        raise RefusedError("has an input or output whose name holds a zero byte")
    kind = value.type.WhichOneof("value") or "no type"
    if kind != "tensor_type":
        declared = f"a {kind.removesuffix('_type').replace('_', ' ')}"
        remedy = " (scikit-learn: convert with zipmap=False)" if kind in ("sequence_type", "map_type") else ""
        return ModelPort(value.name, "", declared + remedy, None, required)
    tensor = value.type.tensor_type
    datatype = _DATATYPES.get(tensor.elem_type, "")
    shape = tuple(_sizes(tensor.shape)) if tensor.HasField("shape") else None
    return ModelPort(value.name, datatype, f"a tensor of element type {tensor.elem_type}", shape, required)


def _sizes(shape: onnx.TensorShapeProto) -> Iterator[int | None]:
    for dimension in shape.dim:
        # Some exporters write 0 or -1 for "any".
        yield dimension.dim_value if dimension.WhichOneof("value") == "dim_value" and dimension.dim_value > 0 else None


def main() -> None:
    """Check the file named by the arguments; the answer goes to stdout."""
    path, max_memory_bytes, max_cpu_s = sys.argv[1:]
    confine(int(max_memory_bytes), int(max_cpu_s))
    try:
        check = Check(path)
        _say({"file": asdict(check.file)})
        _say({"file": asdict(check.tried())})
    except RefusedError as error:
        _say({"refused": str(error)})
    except MemoryError:
        _say({"refused": "needs too much memory to be looked into"})
    except RecursionError:
        _say({"refused": "is nested too deeply"})


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
