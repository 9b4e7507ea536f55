import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.scorer.v1 import scorer_pb2 as _scorer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoringSchedule(_message.Message):
    __slots__ = ("name", "cron", "time_zone", "spec", "start_within", "paused", "next_time", "last_time", "last_job", "jobs_created", "times_skipped", "decisions", "client")
    class Decision(_message.Message):
        __slots__ = ("create_time", "time", "job", "skipped", "reason")
        CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
        TIME_FIELD_NUMBER: _ClassVar[int]
        JOB_FIELD_NUMBER: _ClassVar[int]
        SKIPPED_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        create_time: _timestamp_pb2.Timestamp
        time: _timestamp_pb2.Timestamp
        job: str
        skipped: int
        reason: str
        def __init__(self, create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job: _Optional[str] = ..., skipped: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    START_WITHIN_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    NEXT_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_JOB_FIELD_NUMBER: _ClassVar[int]
    JOBS_CREATED_FIELD_NUMBER: _ClassVar[int]
    TIMES_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    cron: str
    time_zone: str
    spec: _scorer_pb2.ScoringSpec
    start_within: _duration_pb2.Duration
    paused: bool
    next_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    last_job: str
    jobs_created: int
    times_skipped: int
    decisions: _containers.RepeatedCompositeFieldContainer[ScoringSchedule.Decision]
    client: str
    def __init__(self, name: _Optional[str] = ..., cron: _Optional[str] = ..., time_zone: _Optional[str] = ..., spec: _Optional[_Union[_scorer_pb2.ScoringSpec, _Mapping]] = ..., start_within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., paused: _Optional[bool] = ..., next_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_job: _Optional[str] = ..., jobs_created: _Optional[int] = ..., times_skipped: _Optional[int] = ..., decisions: _Optional[_Iterable[_Union[ScoringSchedule.Decision, _Mapping]]] = ..., client: _Optional[str] = ...) -> None: ...

class PutScoringScheduleRequest(_message.Message):
    __slots__ = ("schedule",)
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    schedule: ScoringSchedule
    def __init__(self, schedule: _Optional[_Union[ScoringSchedule, _Mapping]] = ...) -> None: ...

class PutScoringScheduleResponse(_message.Message):
    __slots__ = ("schedule",)
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    schedule: ScoringSchedule
    def __init__(self, schedule: _Optional[_Union[ScoringSchedule, _Mapping]] = ...) -> None: ...

class GetScoringScheduleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetScoringScheduleResponse(_message.Message):
    __slots__ = ("schedule",)
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    schedule: ScoringSchedule
    def __init__(self, schedule: _Optional[_Union[ScoringSchedule, _Mapping]] = ...) -> None: ...

class ListScoringSchedulesRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ListScoringSchedulesResponse(_message.Message):
    __slots__ = ("schedules",)
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    schedules: _containers.RepeatedCompositeFieldContainer[ScoringSchedule]
    def __init__(self, schedules: _Optional[_Iterable[_Union[ScoringSchedule, _Mapping]]] = ...) -> None: ...

class PauseScoringScheduleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PauseScoringScheduleResponse(_message.Message):
    __slots__ = ("schedule",)
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    schedule: ScoringSchedule
    def __init__(self, schedule: _Optional[_Union[ScoringSchedule, _Mapping]] = ...) -> None: ...

class ResumeScoringScheduleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ResumeScoringScheduleResponse(_message.Message):
    __slots__ = ("schedule",)
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    schedule: ScoringSchedule
    def __init__(self, schedule: _Optional[_Union[ScoringSchedule, _Mapping]] = ...) -> None: ...

class DeleteScoringScheduleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteScoringScheduleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
