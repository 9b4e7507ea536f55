"""Python runs this first in each model's process: starting one must not hold up the models that already answer.

It lies in the site-packages of Triton's environment: the Python backend's stub looks at no PYTHONPATH. Imports keep a
core busy for tenths of a second, and the main thread could not take a niceness back: a thread of their own does them.
"""

import os

# All that the backend and its stub will ask for.
_IMPORTED = ("concurrent.futures.thread", "json", "numpy", "onnxruntime")

# `launch.py` sets it for what Triton starts; Triton itself, which Python becomes, must not have long turns.
if "HEADRACE_MODEL_PROCESS" in os.environ:
    import importlib
    import threading

    import headrace_turns

    def _import():
        headrace_turns.give_way()
        for name in _IMPORTED:
            importlib.import_module(name)

    headrace_turns.take_long_turns()
    _importing = threading.Thread(target=_import, name="imports")
    _importing.start()
    _importing.join()
