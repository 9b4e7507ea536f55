"""A generator as a version of format `python`: it answers a prompt in parts, a word at a time."""

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports] - where it runs, it is there


class TritonPythonModel:
    """Answers `prompt` with its words in turn, `words` of them, as a language model answers with tokens."""

    def execute(self, requests):
        """Yield the parts; the next is computed only after the caller has taken this one."""
        (request,) = requests  # a decoupled version gets one at a time
        prompt = pb_utils.get_input_tensor_by_name(request, "prompt").as_numpy()[0, 0].decode()
        count = int(pb_utils.get_input_tensor_by_name(request, "words").as_numpy()[0, 0])
        known = prompt.split()
        for at in range(count if known else 0):
            word = np.array([[known[at % len(known)].encode()]], dtype=np.object_)
            yield pb_utils.InferenceResponse([pb_utils.Tensor("word", word)])
