"""Pipelines run by the data plane over members that a test holds in its hand, on a clock that only waiting moves.

made = Composed(pipeline, {"a": member(1.0), "b": member(2.0)})
ended = made.asked({"x": rows}, deadline_s=1.0, behaviours={"b": Behaviour(takes_s=5.0)})
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from headrace.batcher.v1 import batcher_pb2
from headrace.registry.v1 import pipeline_pb2
from headrace.router.v1 import control_pb2, predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.answer.refusals import deadline_exceeded, no_backend
from headrace_router.data.batchers.decisions.balance import RetryBudget
from headrace_router.data.batchers.work import PipelineWork, Work
from headrace_router.data.pipelines.online import PipelineOnline
from headrace_router.data.pipelines.surroundings import StepCache
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.served import ServedVersion
from headrace_router.data.tables.table import table_of
from headrace_runtime.pipelines.combiners import graph_of
from headrace_runtime.pipelines.flow import Flow, Port, Signature, flow
from headrace_runtime.pipelines.graph import Combiner, Edge, ModelStep, Pipeline, Source, Step
from headrace_servicekit.errors import Code, ServiceError, error_for

from tests.kit.router.fake_control import table
from tests.kit.router.pipelines import NUMPY, Run, onnx_run
from tests.kit.router.recording import answered
from tests.kit.router.virtual_time import virtual_loop

VECTOR = (4,)


def member(scale: float, *names: str) -> tuple[Signature, Run]:
    """Return a model that adds its inputs up (`x` unless told) and scales the sum: FP32 rows of four."""
    taken = names or ("x",)
    signature = Signature(tuple(Port(name, "FP32", VECTOR) for name in taken), (Port("y", "FP32", VECTOR),))
    return signature, lambda arrays: {"y": np.float32(scale) * np.sum([arrays[name] for name in taken], axis=0)}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a step does.

    takes_s: until it answers; infinite for never. codes: of its attempts, 0 for an answer; the last one goes on.
    needs_s: what is expected of it, None for what it takes; infinite when nobody has it. raises: whether nobody can
    even be asked, for a defect. invalid: whether what it gives has values that its contract excludes.
    """

    takes_s: float = 0.01
    codes: tuple[int, ...] = (0,)
    needs_s: float | None = None
    raises: bool = False
    invalid: bool = False


@dataclass(slots=True)
class Ended:
    """What a request came to. outputs: by name; None for an error. executed: works by step, in the order of their
    beginning. took_s: until the answer. recorded: step, layout and inputs of what members computed."""

    outputs: dict[str, np.ndarray] | None
    missing: tuple[str, ...]
    error: ServiceError | None
    executed: list[str]
    withdrawn: list[str]
    took_s: float
    left_over: int
    missed_pools: set[str]
    recorded: list[tuple[str, Layout, list[bytes]]]


class Composed:
    """A pipeline as a table has it, with what runs its steps. members: signature and function of each model step."""

    def __init__(self, pipeline: Pipeline, members: Mapping[str, tuple[Signature, Run]]) -> None:
        self.pipeline = pipeline
        self.flow = flow(pipeline, {name: signature for name, (signature, _) in members.items()}, "pipeline")
        self.runs: dict[str, Run] = {name: run for name, (_, run) in members.items()}
        for step in pipeline.steps:
            if isinstance(step.runs, Combiner):
                self.runs[step.name] = onnx_run(graph_of(step.runs, self.flow.signatures[step.name]))
        self.version = resolved_pipeline(pipeline, self.flow)
        built = table_of(table("ensemble", [self.version]), {})
        self.served: ServedVersion = next(iter(built.named())).served

    def asked(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        deadline_s: float = 10.0,
        behaviours: Mapping[str, Behaviour] | None = None,
        attributes: Mapping[str, str] | None = None,
        outputs: tuple[int, ...] = (),
        cancel_at: float | None = None,
        budget: float = 100.0,
        starts_in_s: float | None = None,
        gone: Collection[str] = (),
        copy: bool = False,
        resolved: ResolvedRequest | None = None,
        cache: StepCache | None = None,
    ) -> Ended:
        """Ask once. cancel_at: when the caller leaves, in seconds. starts_in_s: until pools that lack somebody answer;
        None when nobody starts them. gone: pools that nobody starts whatever it says. copy: whether it is one for a
        shadow. resolved: the request, where it matters what it says."""

        async def ask() -> Ended:
            loop = asyncio.get_running_loop()
            batchers = HeldBatchers(self, behaviours or {}, loop)
            batchers.starts_in_s, batchers.gone = starts_in_s, gone
            if starts_in_s is not None:
                loop.call_later(starts_in_s, batchers.started)
            retries = RetryBudget(1.0, budget)
            online = PipelineOnline(
                batchers, batchers, retries, max_rows=1024, queue_timeout_s=0.1, miss=batchers.miss, loop=loop,
                cache=cache,
                record=lambda step, _, ran: recorded.append((step.name, ran.layout, list(ran.inputs))),
            )  # fmt: skip
            recorded: list[tuple[str, Layout, list[bytes]]] = []
            work = self.work(inputs, loop, deadline_s, attributes or {}, outputs)
            if not copy:
                assert work.pipeline is not None
                work.pipeline.asked = resolved or answered()[0]
            began = loop.time()
            if cancel_at is not None:
                loop.call_later(cancel_at, lambda: (online.withdraw(work), work.answer.cancel()))
            online.submit((work,))
            error, message = None, None
            with contextlib.suppress(asyncio.CancelledError):
                try:
                    async with asyncio.timeout(deadline_s + 1.0):  # else a defect would end no test
                        message = predict_pb2.PredictResponse.FromString((await work.answer).outputs)
                except ServiceError as failure:
                    error = failure
            took_s = loop.time() - began
            await asyncio.sleep(0)
            assert work.pipeline is not None
            return Ended(
                None if message is None else arrays_of(message),
                work.pipeline.missing,
                error,
                batchers.executed,
                batchers.withdrawn,
                took_s,
                len(online._runs) + len(batchers.running),
                set(batchers.missed),
                recorded,
            )

        with asyncio.Runner(loop_factory=virtual_loop) as runner:
            return runner.run(ask())

    def computed(self, step: str, rows: int, inputs: Sequence[bytes], wanted: Sequence[int]) -> bytes:
        """Return the encoded outputs of a step. wanted: as in `InferRequest`."""
        signature = self.flow.signatures[step]
        arrays = {
            port.name: decoded(port.datatype, (rows, *port.shape), content)
            for port, content in zip(signature.inputs, inputs, strict=True)
        }
        results = self.runs[step](arrays)
        message = predict_pb2.PredictResponse()
        for position, port in enumerate(signature.outputs):
            if not wanted or position in wanted:
                array = results[port.name]
                message.outputs.add(name=port.name, datatype=port.datatype, shape=array.shape)
                message.raw_output_contents.append(encoded(array))
        return message.SerializeToString()

    def work(
        self,
        inputs: Mapping[str, np.ndarray],
        loop: asyncio.AbstractEventLoop,
        deadline_s: float,
        attributes: Mapping[str, str],
        outputs: tuple[int, ...],
    ) -> Work:
        """Return the work of a request."""
        ordered = [inputs[spec.name] for spec in self.served.contract.inputs]
        contents = [encoded(array) for array in ordered]
        answer: Any = loop.create_future()
        work = Work(answer, "default", self.served.digest, len(ordered[0]), contents, loop.time() + deadline_s)
        work.pipeline, work.outputs = PipelineWork(self.served, attributes), outputs
        return work


class HeldBatchers:
    """Runs the works of steps as it is told to; knows how long each probably takes."""

    def __init__(
        self, composed: Composed, behaviours: Mapping[str, Behaviour], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._composed, self._behaviours, self._loop = composed, behaviours, loop
        assert composed.served.pipeline is not None
        self._steps = {step.served.digest: step for step in composed.served.pipeline.steps}
        self.executed: list[str] = []
        self.withdrawn: list[str] = []
        self.running: dict[Work, asyncio.TimerHandle] = {}
        self.missed: list[str] = []
        self.starts_in_s: float | None = None
        self.gone: Collection[str] = ()

    @property
    def in_flight(self) -> int:
        return len(self.running)

    def submit(self, works: Iterable[Work]) -> None:
        for work in works:
            name = self._steps[work.digest].name
            behaviour = self._behaviours.get(name, Behaviour())
            attempt = self.executed.count(name)
            self.executed.append(name)
            if behaviour.raises:
                raise RuntimeError(f"a defect where {name} is sent")
            if behaviour.needs_s == math.inf:
                work.answer.set_exception(no_backend(work.pool))
                continue
            code = behaviour.codes[min(attempt, len(behaviour.codes) - 1)]
            left_s = max(0.0, work.deadline - self._loop.time())
            settle = self._late if behaviour.takes_s > left_s else self._settle
            at_s = min(left_s, behaviour.takes_s)
            self.running[work] = self._loop.call_later(at_s, settle, work, code)

    def withdraw(self, work: Work) -> None:
        timer = self.running.pop(work, None)
        if timer is not None:
            timer.cancel()
            self.withdrawn.append(self._steps[work.digest].name)

    def needs_s(self, pool: str, digest: str) -> float:
        behaviour = self._behaviours.get(self._steps[digest].name, Behaviour())
        return behaviour.takes_s if behaviour.needs_s is None else behaviour.needs_s

    def renews(self, pool: str, digest: str) -> bool:
        return False

    def started(self) -> None:
        """Let every step be run from now on, but for those of pools that are gone."""
        left = {step.name for step in self._steps.values() if step.pool in self.gone}
        self._behaviours = {name: one for name, one in self._behaviours.items() if name in left}

    def miss(self, pool: str) -> float | None:
        self.missed.append(pool)
        return None if pool in self.gone else self.starts_in_s

    def _late(self, work: Work, _code: int) -> None:
        del self.running[work]
        work.answer.set_exception(deadline_exceeded())

    def _settle(self, work: Work, code: int) -> None:
        del self.running[work]
        step = self._steps[work.digest]
        if code:
            work.answer.set_exception(error_for(Code(code), "refused by the test", reason="TESTED"))
            return
        assert not work.absent
        outputs = self._composed.computed(step.name, work.rows, work.inputs, work.outputs)
        assert step.served.answers.keep_contract(work.rows, work.outputs, outputs)
        work.answer.set_result(
            batcher_pb2.InferResponse(
                outputs=outputs,
                queue_us=100,
                compute_us=1000,
                batch_requests=1,
                invalid_rows=int(self._behaviours.get(step.name, Behaviour()).invalid),
            )
        )


def resolved_pipeline(pipeline: Pipeline, signatures: Flow, version: str = "v1") -> control_pb2.ResolvedVersion:
    """Return a pipeline as the control plane sends it."""
    made = control_pb2.ResolvedVersion(
        model="ensemble",
        version=version,
        digest=sha256(repr(pipeline).encode()).hexdigest(),
        signature_hash="p" * 16,
        contract=contract_of(signatures.inputs, signatures.outputs),
        pipeline=proto_of(pipeline),
    )
    for step, proto in zip(pipeline.steps, made.pipeline.steps, strict=True):
        signature = signatures.signatures[step.name]
        model = step.runs.model if isinstance(step.runs, ModelStep) else "ensemble"
        digest = sha256(f"{step.name}{signature}".encode()).hexdigest()
        proto.digest = digest
        made.members.add(
            model=model, version=f"{version}--{step.name}", digest=digest, signature_hash=digest[:16],
            contract=contract_of(signature.inputs, signature.outputs),
        )  # fmt: skip
    return made


def contract_of(inputs: Sequence[Port], outputs: Sequence[Port]) -> tensor_pb2.ServingContract:
    """Return the contract of ports."""
    taken, given = (
        [tensor_pb2.TensorSpec(name=port.name, datatype=port.datatype, shape=port.shape) for port in ports]
        for ports in (inputs, outputs)
    )
    return tensor_pb2.ServingContract(inputs=taken, outputs=given, prediction=given[0].name)


def proto_of(pipeline: Pipeline) -> pipeline_pb2.Pipeline:
    """Return a pipeline as a message, without the digests of its members."""
    made = pipeline_pb2.Pipeline()
    for step in pipeline.steps:
        _add_step(made, step)
    for output in pipeline.outputs:
        made.outputs.add(name=output.name, source={"step": output.source.step, "tensor": output.source.tensor})
    return made


def _add_step(made: pipeline_pb2.Pipeline, step: Step) -> None:
    proto = made.steps.add(name=step.name, pool=step.pool, retries=step.retries, soft_fail=step.soft_fail)
    for edge in step.inputs:
        proto.inputs.add(input=edge.input, source={"step": edge.source.step, "tensor": edge.source.tensor})
    if step.timeout_ms is not None:
        proto.timeout.FromMicroseconds(int(step.timeout_ms * 1000))
    if step.cache_ms is not None:
        proto.cache_ttl.FromMicroseconds(int(step.cache_ms * 1000))
    if isinstance(step.runs, ModelStep):
        proto.model.model = step.runs.model
    elif isinstance(step.runs, Combiner):
        combiner = step.runs
        proto.combiner.kind = getattr(pipeline_pb2.Combiner, f"KIND_{combiner.kind.name}")
        proto.combiner.weights.extend(combiner.weights)
        proto.combiner.quorum, proto.combiner.attribute = combiner.quorum, combiner.attribute
        proto.combiner.cases.update(combiner.cases)
        proto.combiner.default_input = combiner.default_input
    else:
        proto.graph = step.runs.artifact


def arrays_of(message: predict_pb2.PredictResponse) -> dict[str, np.ndarray]:
    """Return the outputs of an answer."""
    return {
        tensor.name: decoded(tensor.datatype, tuple(tensor.shape), content)
        for tensor, content in zip(message.outputs, message.raw_output_contents, strict=True)
    }


def encoded(array: np.ndarray) -> bytes:
    """Return an array as raw contents."""
    if array.dtype != np.object_:
        return np.ascontiguousarray(array).tobytes()
    texts = [str(one).encode() for one in array.ravel()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def decoded(datatype: str, shape: tuple[int, ...], content: bytes) -> np.ndarray:
    """Return raw contents as an array."""
    if datatype != "BYTES":
        return np.frombuffer(content, NUMPY[datatype]).reshape(shape)
    texts, at = [], 0
    while at < len(content):
        end = at + 4 + int.from_bytes(content[at : at + 4], "little")
        texts.append(content[at + 4 : end].decode())
        at = end
    return np.array(texts, np.object_).reshape(shape)


def edges(*sources: tuple[str, str, str]) -> tuple[Edge, ...]:
    """Return edges given as (input, step, tensor)."""
    return tuple(Edge(name, Source(step, tensor)) for name, step, tensor in sources)
