import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.scorer.v1 import scorer_pb2 as _scorer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoringPublication(_message.Message):
    __slots__ = ("name", "state", "reason", "failure", "publishing", "publish", "entities", "kept_entities", "parity", "drift", "compared_with", "client", "approved_by", "publish_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[ScoringPublication.State]
        STATE_CHECKING: _ClassVar[ScoringPublication.State]
        STATE_HELD: _ClassVar[ScoringPublication.State]
        STATE_PUBLISHING: _ClassVar[ScoringPublication.State]
        STATE_PUBLISHED: _ClassVar[ScoringPublication.State]
        STATE_REFUSED: _ClassVar[ScoringPublication.State]
        STATE_FAILED: _ClassVar[ScoringPublication.State]
        STATE_REVERTED: _ClassVar[ScoringPublication.State]
    STATE_UNSPECIFIED: ScoringPublication.State
    STATE_CHECKING: ScoringPublication.State
    STATE_HELD: ScoringPublication.State
    STATE_PUBLISHING: ScoringPublication.State
    STATE_PUBLISHED: ScoringPublication.State
    STATE_REFUSED: ScoringPublication.State
    STATE_FAILED: ScoringPublication.State
    STATE_REVERTED: ScoringPublication.State
    class Parity(_message.Message):
        __slots__ = ("rows", "differing", "worst")
        ROWS_FIELD_NUMBER: _ClassVar[int]
        DIFFERING_FIELD_NUMBER: _ClassVar[int]
        WORST_FIELD_NUMBER: _ClassVar[int]
        rows: int
        differing: int
        worst: _containers.RepeatedCompositeFieldContainer[ScoringPublication.Pair]
        def __init__(self, rows: _Optional[int] = ..., differing: _Optional[int] = ..., worst: _Optional[_Iterable[_Union[ScoringPublication.Pair, _Mapping]]] = ...) -> None: ...
    class Pair(_message.Message):
        __slots__ = ("entity", "output", "position", "scored", "online", "excess")
        ENTITY_FIELD_NUMBER: _ClassVar[int]
        OUTPUT_FIELD_NUMBER: _ClassVar[int]
        POSITION_FIELD_NUMBER: _ClassVar[int]
        SCORED_FIELD_NUMBER: _ClassVar[int]
        ONLINE_FIELD_NUMBER: _ClassVar[int]
        EXCESS_FIELD_NUMBER: _ClassVar[int]
        entity: str
        output: str
        position: int
        scored: str
        online: str
        excess: float
        def __init__(self, entity: _Optional[str] = ..., output: _Optional[str] = ..., position: _Optional[int] = ..., scored: _Optional[str] = ..., online: _Optional[str] = ..., excess: _Optional[float] = ...) -> None: ...
    class Drift(_message.Message):
        __slots__ = ("column", "test", "effect", "tolerance", "severity")
        COLUMN_FIELD_NUMBER: _ClassVar[int]
        TEST_FIELD_NUMBER: _ClassVar[int]
        EFFECT_FIELD_NUMBER: _ClassVar[int]
        TOLERANCE_FIELD_NUMBER: _ClassVar[int]
        SEVERITY_FIELD_NUMBER: _ClassVar[int]
        column: str
        test: str
        effect: float
        tolerance: float
        severity: str
        def __init__(self, column: _Optional[str] = ..., test: _Optional[str] = ..., effect: _Optional[float] = ..., tolerance: _Optional[float] = ..., severity: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PUBLISHING_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    KEPT_ENTITIES_FIELD_NUMBER: _ClassVar[int]
    PARITY_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    COMPARED_WITH_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: ScoringPublication.State
    reason: str
    failure: str
    publishing: _scorer_pb2.Publishing
    publish: str
    entities: int
    kept_entities: int
    parity: ScoringPublication.Parity
    drift: _containers.RepeatedCompositeFieldContainer[ScoringPublication.Drift]
    compared_with: str
    client: str
    approved_by: str
    publish_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[ScoringPublication.State, str]] = ..., reason: _Optional[str] = ..., failure: _Optional[str] = ..., publishing: _Optional[_Union[_scorer_pb2.Publishing, _Mapping]] = ..., publish: _Optional[str] = ..., entities: _Optional[int] = ..., kept_entities: _Optional[int] = ..., parity: _Optional[_Union[ScoringPublication.Parity, _Mapping]] = ..., drift: _Optional[_Iterable[_Union[ScoringPublication.Drift, _Mapping]]] = ..., compared_with: _Optional[str] = ..., client: _Optional[str] = ..., approved_by: _Optional[str] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PublishScoringJobRequest(_message.Message):
    __slots__ = ("name", "publishing", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PUBLISHING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    publishing: _scorer_pb2.Publishing
    reason: str
    def __init__(self, name: _Optional[str] = ..., publishing: _Optional[_Union[_scorer_pb2.Publishing, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class PublishScoringJobResponse(_message.Message):
    __slots__ = ("publication",)
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    publication: ScoringPublication
    def __init__(self, publication: _Optional[_Union[ScoringPublication, _Mapping]] = ...) -> None: ...

class ApproveScoringPublicationRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ApproveScoringPublicationResponse(_message.Message):
    __slots__ = ("publication",)
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    publication: ScoringPublication
    def __init__(self, publication: _Optional[_Union[ScoringPublication, _Mapping]] = ...) -> None: ...

class RevertScoringPublicationRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevertScoringPublicationResponse(_message.Message):
    __slots__ = ("publication",)
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    publication: ScoringPublication
    def __init__(self, publication: _Optional[_Union[ScoringPublication, _Mapping]] = ...) -> None: ...

class GetScoringPublicationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetScoringPublicationResponse(_message.Message):
    __slots__ = ("publication",)
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    publication: ScoringPublication
    def __init__(self, publication: _Optional[_Union[ScoringPublication, _Mapping]] = ...) -> None: ...
