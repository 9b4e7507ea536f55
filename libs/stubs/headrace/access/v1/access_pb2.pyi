from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor
ACCESS_FIELD_NUMBER: _ClassVar[int]
access: _descriptor.FieldDescriptor

class Access(_message.Message):
    __slots__ = ("scope", "internal", "model_field")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_FIELD_NUMBER: _ClassVar[int]
    scope: str
    internal: bool
    model_field: str
    def __init__(self, scope: _Optional[str] = ..., internal: _Optional[bool] = ..., model_field: _Optional[str] = ...) -> None: ...
