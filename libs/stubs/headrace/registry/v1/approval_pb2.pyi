import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.registry.v1 import registry_pb2 as _registry_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApprovalPolicy(_message.Message):
    __slots__ = ("approvals", "approvers", "stages", "expire_after", "forbid_break_glass", "max_unpromoted_share")
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    APPROVERS_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_AFTER_FIELD_NUMBER: _ClassVar[int]
    FORBID_BREAK_GLASS_FIELD_NUMBER: _ClassVar[int]
    MAX_UNPROMOTED_SHARE_FIELD_NUMBER: _ClassVar[int]
    approvals: int
    approvers: _containers.RepeatedScalarFieldContainer[str]
    stages: _containers.RepeatedScalarFieldContainer[_registry_pb2.ModelVersion.Stage]
    expire_after: _duration_pb2.Duration
    forbid_break_glass: bool
    max_unpromoted_share: float
    def __init__(self, approvals: _Optional[int] = ..., approvers: _Optional[_Iterable[str]] = ..., stages: _Optional[_Iterable[_Union[_registry_pb2.ModelVersion.Stage, str]]] = ..., expire_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., forbid_break_glass: _Optional[bool] = ..., max_unpromoted_share: _Optional[float] = ...) -> None: ...

class PromotionRequest(_message.Message):
    __slots__ = ("name", "version", "target_stage", "state", "author", "reason", "approvals", "allow_incompatible_signature", "signature_breaks", "rollout_policy", "variant", "rollout", "create_time", "expire_time", "end_time", "end_client", "end_reason", "rounds")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[PromotionRequest.State]
        STATE_PENDING: _ClassVar[PromotionRequest.State]
        STATE_APPROVED: _ClassVar[PromotionRequest.State]
        STATE_ROLLING_OUT: _ClassVar[PromotionRequest.State]
        STATE_PROMOTED: _ClassVar[PromotionRequest.State]
        STATE_REJECTED: _ClassVar[PromotionRequest.State]
        STATE_WITHDRAWN: _ClassVar[PromotionRequest.State]
        STATE_EXPIRED: _ClassVar[PromotionRequest.State]
        STATE_FAILED: _ClassVar[PromotionRequest.State]
        STATE_ROLLED_OUT: _ClassVar[PromotionRequest.State]
    STATE_UNSPECIFIED: PromotionRequest.State
    STATE_PENDING: PromotionRequest.State
    STATE_APPROVED: PromotionRequest.State
    STATE_ROLLING_OUT: PromotionRequest.State
    STATE_PROMOTED: PromotionRequest.State
    STATE_REJECTED: PromotionRequest.State
    STATE_WITHDRAWN: PromotionRequest.State
    STATE_EXPIRED: PromotionRequest.State
    STATE_FAILED: PromotionRequest.State
    STATE_ROLLED_OUT: PromotionRequest.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TARGET_STAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_INCOMPATIBLE_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_BREAKS_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_POLICY_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    END_CLIENT_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    target_stage: _registry_pb2.ModelVersion.Stage
    state: PromotionRequest.State
    author: str
    reason: str
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    allow_incompatible_signature: bool
    signature_breaks: _containers.RepeatedScalarFieldContainer[str]
    rollout_policy: _struct_pb2.Struct
    variant: str
    rollout: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    end_client: str
    end_reason: str
    rounds: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., target_stage: _Optional[_Union[_registry_pb2.ModelVersion.Stage, str]] = ..., state: _Optional[_Union[PromotionRequest.State, str]] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., allow_incompatible_signature: _Optional[bool] = ..., signature_breaks: _Optional[_Iterable[str]] = ..., rollout_policy: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., variant: _Optional[str] = ..., rollout: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_client: _Optional[str] = ..., end_reason: _Optional[str] = ..., rounds: _Optional[int] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("client", "comment", "create_time")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    client: str
    comment: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, client: _Optional[str] = ..., comment: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PromotionReview(_message.Message):
    __slots__ = ("missing_approvals", "gates", "production_version", "signature_breaks", "signature_additions", "obstacles")
    class GateResult(_message.Message):
        __slots__ = ("gate", "problem")
        GATE_FIELD_NUMBER: _ClassVar[int]
        PROBLEM_FIELD_NUMBER: _ClassVar[int]
        gate: _registry_pb2.PromotionGate
        problem: str
        def __init__(self, gate: _Optional[_Union[_registry_pb2.PromotionGate, _Mapping]] = ..., problem: _Optional[str] = ...) -> None: ...
    MISSING_APPROVALS_FIELD_NUMBER: _ClassVar[int]
    GATES_FIELD_NUMBER: _ClassVar[int]
    PRODUCTION_VERSION_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_BREAKS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_ADDITIONS_FIELD_NUMBER: _ClassVar[int]
    OBSTACLES_FIELD_NUMBER: _ClassVar[int]
    missing_approvals: int
    gates: _containers.RepeatedCompositeFieldContainer[PromotionReview.GateResult]
    production_version: str
    signature_breaks: _containers.RepeatedScalarFieldContainer[str]
    signature_additions: _containers.RepeatedScalarFieldContainer[str]
    obstacles: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, missing_approvals: _Optional[int] = ..., gates: _Optional[_Iterable[_Union[PromotionReview.GateResult, _Mapping]]] = ..., production_version: _Optional[str] = ..., signature_breaks: _Optional[_Iterable[str]] = ..., signature_additions: _Optional[_Iterable[str]] = ..., obstacles: _Optional[_Iterable[str]] = ...) -> None: ...

class GetApprovalPolicyRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class GetApprovalPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: ApprovalPolicy
    def __init__(self, policy: _Optional[_Union[ApprovalPolicy, _Mapping]] = ...) -> None: ...

class PutApprovalPolicyRequest(_message.Message):
    __slots__ = ("parent", "policy", "etag", "reason", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    policy: ApprovalPolicy
    etag: str
    reason: str
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., policy: _Optional[_Union[ApprovalPolicy, _Mapping]] = ..., etag: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PutApprovalPolicyResponse(_message.Message):
    __slots__ = ("policy", "model")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    policy: ApprovalPolicy
    model: _registry_pb2.Model
    def __init__(self, policy: _Optional[_Union[ApprovalPolicy, _Mapping]] = ..., model: _Optional[_Union[_registry_pb2.Model, _Mapping]] = ...) -> None: ...

class RequestPromotionRequest(_message.Message):
    __slots__ = ("name", "target_stage", "reason", "request_id", "allow_incompatible_signature", "rollout_policy", "variant")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_STAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOW_INCOMPATIBLE_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_POLICY_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    name: str
    target_stage: _registry_pb2.ModelVersion.Stage
    reason: str
    request_id: str
    allow_incompatible_signature: bool
    rollout_policy: _struct_pb2.Struct
    variant: str
    def __init__(self, name: _Optional[str] = ..., target_stage: _Optional[_Union[_registry_pb2.ModelVersion.Stage, str]] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., allow_incompatible_signature: _Optional[bool] = ..., rollout_policy: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., variant: _Optional[str] = ...) -> None: ...

class RequestPromotionResponse(_message.Message):
    __slots__ = ("request", "review")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    request: PromotionRequest
    review: PromotionReview
    def __init__(self, request: _Optional[_Union[PromotionRequest, _Mapping]] = ..., review: _Optional[_Union[PromotionReview, _Mapping]] = ...) -> None: ...

class GetPromotionRequestRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetPromotionRequestResponse(_message.Message):
    __slots__ = ("request", "review")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    request: PromotionRequest
    review: PromotionReview
    def __init__(self, request: _Optional[_Union[PromotionRequest, _Mapping]] = ..., review: _Optional[_Union[PromotionReview, _Mapping]] = ...) -> None: ...

class ListPromotionRequestsRequest(_message.Message):
    __slots__ = ("model", "state", "page_size", "page_token")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    model: str
    state: PromotionRequest.State
    page_size: int
    page_token: str
    def __init__(self, model: _Optional[str] = ..., state: _Optional[_Union[PromotionRequest.State, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPromotionRequestsResponse(_message.Message):
    __slots__ = ("requests", "next_page_token")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[PromotionRequest]
    next_page_token: str
    def __init__(self, requests: _Optional[_Iterable[_Union[PromotionRequest, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReviewPromotionRequest(_message.Message):
    __slots__ = ("name", "target_stage")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_STAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    target_stage: _registry_pb2.ModelVersion.Stage
    def __init__(self, name: _Optional[str] = ..., target_stage: _Optional[_Union[_registry_pb2.ModelVersion.Stage, str]] = ...) -> None: ...

class ReviewPromotionResponse(_message.Message):
    __slots__ = ("review",)
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    review: PromotionReview
    def __init__(self, review: _Optional[_Union[PromotionReview, _Mapping]] = ...) -> None: ...

class ApprovePromotionRequest(_message.Message):
    __slots__ = ("name", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ApprovePromotionResponse(_message.Message):
    __slots__ = ("request", "model")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    request: PromotionRequest
    model: _registry_pb2.Model
    def __init__(self, request: _Optional[_Union[PromotionRequest, _Mapping]] = ..., model: _Optional[_Union[_registry_pb2.Model, _Mapping]] = ...) -> None: ...

class RejectPromotionRequest(_message.Message):
    __slots__ = ("name", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RejectPromotionResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: PromotionRequest
    def __init__(self, request: _Optional[_Union[PromotionRequest, _Mapping]] = ...) -> None: ...

class WithdrawPromotionRequest(_message.Message):
    __slots__ = ("name", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class WithdrawPromotionResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: PromotionRequest
    def __init__(self, request: _Optional[_Union[PromotionRequest, _Mapping]] = ...) -> None: ...

class BreakGlassRequest(_message.Message):
    __slots__ = ("name", "target_stage", "etag", "reason", "request_id", "allow_incompatible_signature", "end_rollout")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_STAGE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOW_INCOMPATIBLE_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    END_ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    target_stage: _registry_pb2.ModelVersion.Stage
    etag: str
    reason: str
    request_id: str
    allow_incompatible_signature: bool
    end_rollout: bool
    def __init__(self, name: _Optional[str] = ..., target_stage: _Optional[_Union[_registry_pb2.ModelVersion.Stage, str]] = ..., etag: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., allow_incompatible_signature: _Optional[bool] = ..., end_rollout: _Optional[bool] = ...) -> None: ...

class BreakGlassResponse(_message.Message):
    __slots__ = ("version", "model")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.ModelVersion
    model: _registry_pb2.Model
    def __init__(self, version: _Optional[_Union[_registry_pb2.ModelVersion, _Mapping]] = ..., model: _Optional[_Union[_registry_pb2.Model, _Mapping]] = ...) -> None: ...

class ClaimPromotionRequestRequest(_message.Message):
    __slots__ = ("name", "rollout", "rolled_out")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    ROLLED_OUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    rollout: str
    rolled_out: bool
    def __init__(self, name: _Optional[str] = ..., rollout: _Optional[str] = ..., rolled_out: _Optional[bool] = ...) -> None: ...

class ClaimPromotionRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: PromotionRequest
    def __init__(self, request: _Optional[_Union[PromotionRequest, _Mapping]] = ...) -> None: ...

class ReopenPromotionRequestRequest(_message.Message):
    __slots__ = ("name", "rollout", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    rollout: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., rollout: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReopenPromotionRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: PromotionRequest
    def __init__(self, request: _Optional[_Union[PromotionRequest, _Mapping]] = ...) -> None: ...
