from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tensor(_message.Message):
    __slots__ = ("name", "datatype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class TensorSpec(_message.Message):
    __slots__ = ("name", "datatype", "shape", "optional", "nan_allowed", "kind", "columns", "minimum", "maximum", "sensitive", "batch_dimension")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[TensorSpec.Kind]
        KIND_NUMERIC: _ClassVar[TensorSpec.Kind]
        KIND_CATEGORICAL: _ClassVar[TensorSpec.Kind]
        KIND_EMBEDDING: _ClassVar[TensorSpec.Kind]
    KIND_UNSPECIFIED: TensorSpec.Kind
    KIND_NUMERIC: TensorSpec.Kind
    KIND_CATEGORICAL: TensorSpec.Kind
    KIND_EMBEDDING: TensorSpec.Kind
    class BatchDimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BATCH_DIMENSION_UNSPECIFIED: _ClassVar[TensorSpec.BatchDimension]
        BATCH_DIMENSION_ONE: _ClassVar[TensorSpec.BatchDimension]
        BATCH_DIMENSION_NONE: _ClassVar[TensorSpec.BatchDimension]
    BATCH_DIMENSION_UNSPECIFIED: TensorSpec.BatchDimension
    BATCH_DIMENSION_ONE: TensorSpec.BatchDimension
    BATCH_DIMENSION_NONE: TensorSpec.BatchDimension
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    NAN_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    BATCH_DIMENSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    optional: bool
    nan_allowed: bool
    kind: TensorSpec.Kind
    columns: _containers.RepeatedScalarFieldContainer[str]
    minimum: float
    maximum: float
    sensitive: bool
    batch_dimension: TensorSpec.BatchDimension
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., optional: _Optional[bool] = ..., nan_allowed: _Optional[bool] = ..., kind: _Optional[_Union[TensorSpec.Kind, str]] = ..., columns: _Optional[_Iterable[str]] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., sensitive: _Optional[bool] = ..., batch_dimension: _Optional[_Union[TensorSpec.BatchDimension, str]] = ...) -> None: ...

class ServingContract(_message.Message):
    __slots__ = ("inputs", "outputs", "prediction", "task", "labels", "example", "decoupled")
    class Task(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TASK_UNSPECIFIED: _ClassVar[ServingContract.Task]
        TASK_CLASSIFICATION: _ClassVar[ServingContract.Task]
        TASK_REGRESSION: _ClassVar[ServingContract.Task]
        TASK_RANKING: _ClassVar[ServingContract.Task]
    TASK_UNSPECIFIED: ServingContract.Task
    TASK_CLASSIFICATION: ServingContract.Task
    TASK_REGRESSION: ServingContract.Task
    TASK_RANKING: ServingContract.Task
    class Example(_message.Message):
        __slots__ = ("inputs", "dims")
        INPUTS_FIELD_NUMBER: _ClassVar[int]
        DIMS_FIELD_NUMBER: _ClassVar[int]
        inputs: _containers.RepeatedScalarFieldContainer[bytes]
        dims: _containers.RepeatedScalarFieldContainer[int]
        def __init__(self, inputs: _Optional[_Iterable[bytes]] = ..., dims: _Optional[_Iterable[int]] = ...) -> None: ...
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    DECOUPLED_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    prediction: str
    task: ServingContract.Task
    labels: _containers.RepeatedScalarFieldContainer[str]
    example: ServingContract.Example
    decoupled: bool
    def __init__(self, inputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., prediction: _Optional[str] = ..., task: _Optional[_Union[ServingContract.Task, str]] = ..., labels: _Optional[_Iterable[str]] = ..., example: _Optional[_Union[ServingContract.Example, _Mapping]] = ..., decoupled: _Optional[bool] = ...) -> None: ...
