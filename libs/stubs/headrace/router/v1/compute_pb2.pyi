from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ComputeWay(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPUTE_WAY_UNSPECIFIED: _ClassVar[ComputeWay]
    COMPUTE_WAY_BACKEND: _ClassVar[ComputeWay]
    COMPUTE_WAY_THREAD: _ClassVar[ComputeWay]
    COMPUTE_WAY_INLINE: _ClassVar[ComputeWay]
COMPUTE_WAY_UNSPECIFIED: ComputeWay
COMPUTE_WAY_BACKEND: ComputeWay
COMPUTE_WAY_THREAD: ComputeWay
COMPUTE_WAY_INLINE: ComputeWay

class Compute(_message.Message):
    __slots__ = ("way", "reason")
    WAY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    way: ComputeWay
    reason: str
    def __init__(self, way: _Optional[_Union[ComputeWay, str]] = ..., reason: _Optional[str] = ...) -> None: ...
