"""What code of a Python version imports as `triton_python_backend_utils`: the part of it that one execution needs."""

import json
import sys
import threading
import types

import numpy as np

_DTYPES = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": np.object_,
}  # fmt: skip
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
_BY_DTYPE = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


class TritonModelException(Exception):
    """Raised by a model, to say why it does not answer."""


class TritonError:
    """Why one request is not answered."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message, code=INTERNAL):
        self._message, self._code = str(message), code

    def message(self):
        """Return why."""
        return self._message

    def code(self):
        """Return what kind of error it is."""
        return self._code


class Tensor:
    """A named array."""

    def __init__(self, name, array):
        self._name, self._array = name, np.asarray(array)

    def name(self):
        """Return its name."""
        return self._name

    def as_numpy(self):
        """Return its values; texts are objects that hold bytes."""
        return self._array

    def triton_dtype(self):
        """Return its datatype, such as TYPE_FP32."""
        name = datatype_of(self._array)
        return "TYPE_STRING" if name == "BYTES" else f"TYPE_{name}"

    def shape(self):
        """Return its shape."""
        return list(self._array.shape)

    def is_cpu(self):
        """Return that it lies in main memory."""
        return True


class InferenceRequest:
    """One request: all rows of a batch. sender: of its responses, None where `execute` returns the one that it has."""

    def __init__(self, inputs, outputs, sender=None):
        self._inputs, self._outputs, self._sender = inputs, outputs, sender

    def inputs(self):
        """Return the tensors that were sent."""
        return self._inputs

    def requested_output_names(self):
        """Return the names of the outputs that are wanted."""
        return self._outputs

    def request_id(self):
        """Return nothing: a batch is of many requests."""
        return ""

    def correlation_id(self):
        """Return that there is no sequence."""
        return 0

    def parameters(self):
        """Return that there are none."""
        return "{}"

    def is_cancelled(self):
        """Return whether its caller left; known for streamed requests only."""
        return self._sender is not None and self._sender.is_cancelled()

    def get_response_sender(self):
        """Return what sends its responses."""
        if self._sender is None:
            raise TritonModelException("the version answers once: its contract does not say that it is decoupled")
        return self._sender


class InferenceResponse:
    """One answer."""

    def __init__(self, output_tensors=(), error=None):
        self._outputs, self._error = list(output_tensors), error

    def output_tensors(self):
        """Return its tensors."""
        return self._outputs

    def has_error(self):
        """Return whether it says why there is none."""
        return self._error is not None

    def error(self):
        """Return why there is none."""
        return self._error


class InferenceResponseSender:
    """Sends the responses of one request. Blocks until the caller takes them.

    transmit: called with a response's tensors or None, the error if any, and whether it is the last. cancelled: returns
    whether the caller left.
    """

    def __init__(self, transmit, cancelled):
        self._transmit, self._cancelled = transmit, cancelled
        self._lock, self.ended = threading.Lock(), threading.Event()

    def send(self, response=None, flags=0):
        """Send a response; with the flag TRITONSERVER_RESPONSE_COMPLETE_FINAL there is no other."""
        with self._lock:
            if self.ended.is_set():
                raise TritonModelException("the last response was sent already")
            if self._cancelled():
                raise TritonModelException("the request was cancelled: no more responses are accepted")
            last = bool(flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            if response is None and not last:
                raise TritonModelException("neither a response nor the flag of the last one was given")
            error = response.error() if response is not None and response.has_error() else None
            tensors = response.output_tensors() if response is not None and error is None else None
            self._transmit(tensors, error, last)
            if last or error is not None:
                self.ended.set()

    def end(self):
        """Let nothing more be sent; return whether the last response still was to come."""
        with self._lock:
            before = self.ended.is_set()
            self.ended.set()
        return not before

    def is_cancelled(self):
        """Return whether the caller left."""
        return self._cancelled()


class Logger:
    """Takes what a model would log, and drops it: it may hold what people sent."""

    @staticmethod
    def log(message, level=None):
        """Drop a line."""

    log_info = log_warn = log_error = log_verbose = log


def get_input_tensor_by_name(request, name):
    """Return an input, None when it was left out."""
    return next((tensor for tensor in request.inputs() if tensor.name() == name), None)


def get_output_tensor_by_name(response, name):
    """Return an output of an answer, None when it has none of that name."""
    return next((tensor for tensor in response.output_tensors() if tensor.name() == name), None)


def get_input_config_by_name(model_config, name):
    """Return what the configuration says of an input."""
    return _configured(model_config, "input", name)


def get_output_config_by_name(model_config, name):
    """Return what the configuration says of an output."""
    return _configured(model_config, "output", name)


def using_decoupled_model_transaction_policy(model_config):
    """Return whether the configuration says that the model answers in parts."""
    config = json.loads(model_config) if isinstance(model_config, str) else model_config
    return bool(config.get("model_transaction_policy", {}).get("decoupled"))


def triton_string_to_numpy(name):
    """Return the dtype of a datatype, such as TYPE_FP32."""
    bare = name.removeprefix("TYPE_")
    return _DTYPES["BYTES" if bare == "STRING" else bare]


def _configured(model_config, side, name):
    config = json.loads(model_config) if isinstance(model_config, str) else model_config
    return next((entry for entry in config.get(side, ()) if entry["name"] == name), None)


def datatype_of(array):
    """Return the datatype of an array. Raises ValueError."""
    if array.dtype.kind in "OSU":
        return "BYTES"
    found = _BY_DTYPE.get(array.dtype)
    if found is None:
        raise ValueError(f"{array.dtype} is no datatype of the protocol")
    return found


def decoded(datatype, shape, data):
    """Return the array that raw bytes of a request hold."""
    if datatype != "BYTES":
        return np.frombuffer(data, np.dtype(_DTYPES[datatype]).newbyteorder("<")).reshape(shape)
    values, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        values.append(bytes(data[at + 4 : end]))
        at = end
    array = np.empty(len(values), dtype=np.object_)
    array[:] = values
    return array.reshape(shape)


def encoded(array):
    """Return the raw bytes of an array."""
    if datatype_of(array) != "BYTES":
        return np.ascontiguousarray(array).tobytes()
    values = [value if isinstance(value, bytes) else str(value).encode() for value in array.ravel().tolist()]
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)


def install():
    """Make this importable under the name that models know."""
    module = types.ModuleType("triton_python_backend_utils")
    for name, value in globals().items():
        if not name.startswith("_") and name not in ("install", "decoded", "encoded", "datatype_of"):
            setattr(module, name, value)
    sys.modules[module.__name__] = module
