"""Runs the code of one Python version: python -I -S worker.py SETTINGS, a JSON object.

It confines itself (`confining.py`), loads `model.py`, and answers one execution after the other over the socket that it
was started with. A message is two lengths, a JSON header and the bytes of its tensors. What the code prints goes
nowhere.

SETTINGS: socket, its file descriptor. folder: of model.py. path: folders to import from, after that. readable: what may
be read beside. memory_bytes, load_cpu_s: what it may use. arguments: of `initialize`.
"""

import contextlib
import importlib.util
import json
import os
import resource
import struct
import sys
import time
import traceback

_LENGTHS = struct.Struct("<IQ")
_MAX_REASON = 2000


def main():
    """Confine this process, load the model and answer until nobody asks."""
    settings = json.loads(sys.argv[1])
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, own)
    import confining  # pyright: ignore[reportMissingImports] - beside this file

    asked, answers = os.fdopen(settings["socket"], "rb"), os.fdopen(os.dup(settings["socket"]), "wb")
    try:
        granted = confining.confine(settings["memory_bytes"], [own, *settings["readable"]])
    except confining.Unconfinable as error:
        _send(answers, {"failed": str(error)})
        return
    try:
        with _cpu_limit(settings["load_cpu_s"]):
            sys.path[1:1] = settings["path"]
            import interface  # pyright: ignore[reportMissingImports] - the same

            sys.path.remove(own)
            sys.path.insert(0, settings["folder"])
            interface.install()
            model = _load(settings)
    except BaseException as error:
        _send(answers, {"failed": _reason(error)})
        return
    _send(answers, {"ready": True, "granted": granted})
    while (request := _receive(asked)) is not None:
        header, parts = _answer(interface, model, *request)
        _send(answers, header, parts)


def _load(settings):
    path = os.path.join(settings["folder"], "model.py")
    spec = importlib.util.spec_from_file_location("model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["model"] = module
    spec.loader.exec_module(module)
    if not hasattr(module, "TritonPythonModel"):
        raise RuntimeError("model.py has no class TritonPythonModel")
    model = module.TritonPythonModel()
    if not callable(getattr(model, "execute", None)):
        raise RuntimeError("TritonPythonModel has no method execute")
    if hasattr(model, "initialize"):
        model.initialize(settings["arguments"])
    return model


def _answer(interface, model, header, body):
    """Return the answer to one request; whatever the code raises is an answer too."""
    try:
        inputs, at = [], 0
        for one in header["inputs"]:
            data = body[at : at + one["size"]]
            inputs.append(interface.Tensor(one["name"], interface.decoded(one["datatype"], one["shape"], data)))
            at += one["size"]
        responses = model.execute([interface.InferenceRequest(inputs, header["outputs"])])
        if not responses or len(responses) != 1:
            raise RuntimeError(f"execute answered {len(responses or ())} times for one request")
        if responses[0].has_error():
            return {"error": str(responses[0].error().message())[:_MAX_REASON]}, ()
        outputs, parts = [], []
        for tensor in responses[0].output_tensors():
            array, data = tensor.as_numpy(), interface.encoded(tensor.as_numpy())
            shape, datatype = list(array.shape), interface.datatype_of(array)
            outputs.append({"name": tensor.name(), "datatype": datatype, "shape": shape, "size": len(data)})
            parts.append(data)
        return {"outputs": outputs}, parts
    except BaseException as error:
        return {"error": _reason(error)}, ()


def _reason(error):
    """Return what is wrong in a line, with the place in the code of the version."""
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "/sandbox/" not in frame.filename]
    place = f" ({os.path.basename(places[-1].filename)}, line {places[-1].lineno})" if places else ""
    return f"{type(error).__name__}: {error}"[:_MAX_REASON] + place


@contextlib.contextmanager
def _cpu_limit(seconds):
    """Have the kernel end this process when loading takes more of a processor."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def _receive(stream):
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_bytes, body_bytes = _LENGTHS.unpack(lengths)
    return json.loads(stream.read(header_bytes)), memoryview(stream.read(body_bytes))


def _send(stream, header, parts=()):
    encoded = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(encoded), sum(map(len, parts))))
    stream.write(encoded)
    for part in parts:
        stream.write(part)
    stream.flush()


if __name__ == "__main__":
    main()
