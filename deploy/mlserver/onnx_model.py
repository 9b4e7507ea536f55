"""Runs ONNX files in MLServer: `"implementation": "onnx_model.OnnxModel"` in a model's `model-settings.json`.

`parameters.uri` names the file. Tensors come and go as the file declares them, rows first.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor, RequestInput, ResponseOutput

_DATATYPES = {
    "tensor(bool)": "BOOL", "tensor(int8)": "INT8", "tensor(int16)": "INT16", "tensor(int32)": "INT32",
    "tensor(int64)": "INT64", "tensor(uint8)": "UINT8", "tensor(uint16)": "UINT16", "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64", "tensor(float16)": "FP16", "tensor(float)": "FP32", "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}  # fmt: skip
_DTYPES = {
    "BOOL": "?", "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "u1", "UINT16": "<u2",
    "UINT32": "<u4", "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


class OnnxModel(MLModel):
    """One ONNX file in this process, on one thread."""

    async def load(self) -> bool:
        """Open the file, and say what it takes and gives."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what fails is answered, and needs no line here
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        self.inputs = [_metadata(one) for one in self._session.get_inputs()]
        self.outputs = [_metadata(one) for one in self._session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run one request. Raises InferenceError for what the model cannot compute."""
        names = [one.name for one in self.outputs]
        try:
            values = self._session.run(names, {one.name: _array(one) for one in payload.inputs})
        except Exception as error:  # ONNX Runtime's errors have no common class; UnicodeDecodeError is one too
            raise InferenceError(str(error)) from None
        outputs = [_output(spec, value) for spec, value in zip(self.outputs, values, strict=True)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)


def _metadata(node: onnxruntime.NodeArg) -> MetadataTensor:
    shape = [size if isinstance(size, int) else -1 for size in node.shape]
    return MetadataTensor(name=node.name, datatype=_DATATYPES[node.type], shape=shape)


def _array(tensor: RequestInput) -> np.ndarray:
    values = list(tensor.data)
    if tensor.datatype == "BYTES":
        texts = [one.decode() if isinstance(one, bytes) else one for one in values]
        return np.array(texts, dtype=np.object_).reshape(tensor.shape)
    return np.array(values, dtype=_DTYPES[tensor.datatype]).reshape(tensor.shape)


def _output(spec: MetadataTensor, value: np.ndarray) -> ResponseOutput:
    data = [one.encode() for one in value.ravel()] if spec.datatype == "BYTES" else value.ravel().tolist()
    return ResponseOutput(name=spec.name, datatype=spec.datatype, shape=list(value.shape), data=data)
