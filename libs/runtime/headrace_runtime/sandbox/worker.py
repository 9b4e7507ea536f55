"""Runs the code of one Python version: python -I -S worker.py SETTINGS, a JSON object.

It confines itself (`confinement.py`), loads `model.py`, and runs one execution after the other over the socket that it
inherits. A message is two lengths, a JSON header and the bytes of its tensors. The code's output is discarded.

An execution whose header says `parts` has any number of answers: each but the last says `more`. A message that comes
meanwhile cancels the execution; one that comes too late is ignored.

SETTINGS: socket, its file descriptor. folder: of model.py. path: folders to import from, after that. readable: further
readable paths. root, user: as in `confinement.py`. memory_bytes, load_cpu_s: limits. arguments: of `initialize`.
"""

import contextlib
import importlib.util
import inspect
import json
import os
import resource
import select
import struct
import sys
import threading
import time
import traceback

_LENGTHS = struct.Struct("<IQ")
_MAX_REASON = 2000
# How soon it is seen that no thread of the code is left that could send the last response.
_LOOK_EVERY_S = 0.05


def main():
    """Confine this process, load the model and answer until the socket closes."""
    settings = json.loads(sys.argv[1])
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, own)
    import confinement  # pyright: ignore[reportMissingImports] - beside this file

    # Without a buffer of ours: what came meanwhile is seen at the socket.
    asked = os.fdopen(settings["socket"], "rb", buffering=0)
    answers = os.fdopen(os.dup(settings["socket"]), "wb")
    try:
        readable = [own, *settings["readable"], *sys.path]
        granted = confinement.confine(settings["memory_bytes"], readable, settings["root"], settings["user"])
    except confinement.Unconfinable as error:
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
        header, body = request
        if header.get("parts"):
            _answer_in_parts(interface, model, header, body, asked, answers)
        elif "inputs" in header:
            _send(answers, *_answer(interface, model, header, body))


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
        request = interface.InferenceRequest(_inputs(interface, header, body), header["outputs"])
        responses = model.execute([request])
        if not responses or len(responses) != 1:
            raise RuntimeError(f"execute answered {len(responses or ())} times for one request")
        if responses[0].has_error():
            return {"error": str(responses[0].error().message())[:_MAX_REASON]}, ()
        return _outputs(interface, responses[0].output_tensors())
    except BaseException as error:
        return {"error": _reason(error)}, ()


def _answer_in_parts(interface, model, header, body, asked, answers):
    """Answer one request with what `execute` yields, or what it or a thread of it gives the sender."""

    def transmit(tensors, error, last):
        header, parts = ({}, ()) if tensors is None else _outputs(interface, tensors)
        if error is not None:
            header = {"error": str(error.message())[:_MAX_REASON]}
        _send(answers, {**header, "more": error is None and not last}, parts)

    def cancelled():
        return bool(select.select([asked], [], [], 0)[0])

    sender, last = interface.InferenceResponseSender(transmit, cancelled), {}
    try:
        request = interface.InferenceRequest(_inputs(interface, header, body), header["outputs"], sender)
        returned = model.execute([request])
        if inspect.isgenerator(returned):
            with contextlib.closing(returned):
                for response in returned:
                    sender.send(response)
        elif returned is not None:
            raise RuntimeError("execute returned responses: it yields them, or sends them by get_response_sender()")
        else:
            _await_last(sender)
    except BaseException as error:
        last = {"error": _reason(error)}
    if sender.end():
        _send(answers, {**last, "more": False})


def _await_last(sender):
    """Return when the last response was sent, which a thread of the code may do."""
    while not sender.ended.wait(_LOOK_EVERY_S):
        if threading.active_count() == 1 and not sender.ended.is_set():
            raise RuntimeError("execute returned, and the last response was not sent: give its sender the final flag")


def _inputs(interface, header, body):
    inputs, at = [], 0
    for one in header["inputs"]:
        data = body[at : at + one["size"]]
        inputs.append(interface.Tensor(one["name"], interface.decoded(one["datatype"], one["shape"], data)))
        at += one["size"]
    return inputs


def _outputs(interface, tensors):
    """Return the header and the bytes of a response."""
    outputs, parts = [], []
    for tensor in tensors:
        array, data = tensor.as_numpy(), interface.encoded(tensor.as_numpy())
        shape, datatype = list(array.shape), interface.datatype_of(array)
        outputs.append({"name": tensor.name(), "datatype": datatype, "shape": shape, "size": len(data)})
        parts.append(data)
    return {"outputs": outputs}, parts


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
    lengths = _read(stream, _LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_bytes, body_bytes = _LENGTHS.unpack(lengths)
    return json.loads(bytes(_read(stream, header_bytes))), _read(stream, body_bytes)


def _read(stream, size):
    """Return so many bytes, fewer where there is an end before."""
    data = memoryview(bytearray(size))
    at = 0
    while at < size and (count := stream.readinto(data[at:])):
        at += count
    return data[:at].toreadonly()


def _send(stream, header, parts=()):
    encoded = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(encoded), sum(map(len, parts))))
    stream.write(encoded)
    for part in parts:
        stream.write(part)
    stream.flush()


if __name__ == "__main__":
    main()
