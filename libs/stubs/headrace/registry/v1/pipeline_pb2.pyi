import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pipeline(_message.Message):
    __slots__ = ("steps", "outputs", "fuse")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    FUSE_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[PipelineStep]
    outputs: _containers.RepeatedCompositeFieldContainer[PipelineOutput]
    fuse: bool
    def __init__(self, steps: _Optional[_Iterable[_Union[PipelineStep, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[PipelineOutput, _Mapping]]] = ..., fuse: _Optional[bool] = ...) -> None: ...

class TensorSource(_message.Message):
    __slots__ = ("step", "tensor")
    STEP_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    step: str
    tensor: str
    def __init__(self, step: _Optional[str] = ..., tensor: _Optional[str] = ...) -> None: ...

class PipelineEdge(_message.Message):
    __slots__ = ("input", "source")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    input: str
    source: TensorSource
    def __init__(self, input: _Optional[str] = ..., source: _Optional[_Union[TensorSource, _Mapping]] = ...) -> None: ...

class PipelineOutput(_message.Message):
    __slots__ = ("name", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: TensorSource
    def __init__(self, name: _Optional[str] = ..., source: _Optional[_Union[TensorSource, _Mapping]] = ...) -> None: ...

class PipelineStep(_message.Message):
    __slots__ = ("name", "model", "graph", "combiner", "inputs", "pool", "timeout", "retries", "soft_fail", "digest", "cache_ttl")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    COMBINER_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    SOFT_FAIL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: ModelStep
    graph: str
    combiner: Combiner
    inputs: _containers.RepeatedCompositeFieldContainer[PipelineEdge]
    pool: str
    timeout: _duration_pb2.Duration
    retries: int
    soft_fail: bool
    digest: str
    cache_ttl: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., model: _Optional[_Union[ModelStep, _Mapping]] = ..., graph: _Optional[str] = ..., combiner: _Optional[_Union[Combiner, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[PipelineEdge, _Mapping]]] = ..., pool: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., retries: _Optional[int] = ..., soft_fail: _Optional[bool] = ..., digest: _Optional[str] = ..., cache_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ModelStep(_message.Message):
    __slots__ = ("model", "version", "alias")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    alias: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., alias: _Optional[str] = ...) -> None: ...

class Combiner(_message.Message):
    __slots__ = ("kind", "weights", "quorum", "attribute", "cases", "default_input")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Combiner.Kind]
        KIND_MEAN: _ClassVar[Combiner.Kind]
        KIND_WEIGHTED: _ClassVar[Combiner.Kind]
        KIND_VOTE: _ClassVar[Combiner.Kind]
        KIND_STACK: _ClassVar[Combiner.Kind]
        KIND_FIRST_GOOD: _ClassVar[Combiner.Kind]
        KIND_SWITCH: _ClassVar[Combiner.Kind]
    KIND_UNSPECIFIED: Combiner.Kind
    KIND_MEAN: Combiner.Kind
    KIND_WEIGHTED: Combiner.Kind
    KIND_VOTE: Combiner.Kind
    KIND_STACK: Combiner.Kind
    KIND_FIRST_GOOD: Combiner.Kind
    KIND_SWITCH: Combiner.Kind
    class CasesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    CASES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_INPUT_FIELD_NUMBER: _ClassVar[int]
    kind: Combiner.Kind
    weights: _containers.RepeatedScalarFieldContainer[float]
    quorum: int
    attribute: str
    cases: _containers.ScalarMap[str, str]
    default_input: str
    def __init__(self, kind: _Optional[_Union[Combiner.Kind, str]] = ..., weights: _Optional[_Iterable[float]] = ..., quorum: _Optional[int] = ..., attribute: _Optional[str] = ..., cases: _Optional[_Mapping[str, str]] = ..., default_input: _Optional[str] = ...) -> None: ...
