import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.router.v1 import client_limits_pb2 as _client_limits_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Budget(_message.Message):
    __slots__ = ("name", "client", "model", "period", "compute_s", "refuse_above_s")
    class Period(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PERIOD_UNSPECIFIED: _ClassVar[Budget.Period]
        PERIOD_HOUR: _ClassVar[Budget.Period]
        PERIOD_DAY: _ClassVar[Budget.Period]
        PERIOD_WEEK: _ClassVar[Budget.Period]
        PERIOD_MONTH: _ClassVar[Budget.Period]
    PERIOD_UNSPECIFIED: Budget.Period
    PERIOD_HOUR: Budget.Period
    PERIOD_DAY: Budget.Period
    PERIOD_WEEK: Budget.Period
    PERIOD_MONTH: Budget.Period
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
    REFUSE_ABOVE_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    client: str
    model: str
    period: Budget.Period
    compute_s: float
    refuse_above_s: float
    def __init__(self, name: _Optional[str] = ..., client: _Optional[str] = ..., model: _Optional[str] = ..., period: _Optional[_Union[Budget.Period, str]] = ..., compute_s: _Optional[float] = ..., refuse_above_s: _Optional[float] = ...) -> None: ...

class PutBudgetRequest(_message.Message):
    __slots__ = ("budget", "validate_only")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    validate_only: bool
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class PutBudgetResponse(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ...) -> None: ...

class ListBudgetsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListBudgetsResponse(_message.Message):
    __slots__ = ("budgets",)
    class SpentBudget(_message.Message):
        __slots__ = ("budget", "start_time", "end_time", "spent")
        BUDGET_FIELD_NUMBER: _ClassVar[int]
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        END_TIME_FIELD_NUMBER: _ClassVar[int]
        SPENT_FIELD_NUMBER: _ClassVar[int]
        budget: Budget
        start_time: _timestamp_pb2.Timestamp
        end_time: _timestamp_pb2.Timestamp
        spent: _containers.RepeatedCompositeFieldContainer[ListBudgetsResponse.Spending]
        def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spent: _Optional[_Iterable[_Union[ListBudgetsResponse.Spending, _Mapping]]] = ...) -> None: ...
    class Spending(_message.Message):
        __slots__ = ("client", "compute_s", "action")
        CLIENT_FIELD_NUMBER: _ClassVar[int]
        COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
        ACTION_FIELD_NUMBER: _ClassVar[int]
        client: str
        compute_s: float
        action: _client_limits_pb2.BudgetOverrun.Action
        def __init__(self, client: _Optional[str] = ..., compute_s: _Optional[float] = ..., action: _Optional[_Union[_client_limits_pb2.BudgetOverrun.Action, str]] = ...) -> None: ...
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[ListBudgetsResponse.SpentBudget]
    def __init__(self, budgets: _Optional[_Iterable[_Union[ListBudgetsResponse.SpentBudget, _Mapping]]] = ...) -> None: ...

class DeleteBudgetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteBudgetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
