"""The RPCs that the client calls."""

from __future__ import annotations

from grpc_health.v1 import health_pb2
from headrace.autoscaler.v1 import autoscaler_pb2 as autoscaler
from headrace.autoscaler.v1 import planning_pb2 as planning
from headrace.monitor.v1 import alert_pb2 as alert
from headrace.monitor.v1 import experiment_pb2 as experiment
from headrace.monitor.v1 import monitor_pb2 as monitor
from headrace.monitor.v1 import outcome_pb2 as outcome
from headrace.monitor.v1 import usage_pb2 as usage
from headrace.registry.v1 import approval_pb2 as approval
from headrace.registry.v1 import registry_pb2 as registry
from headrace.registry.v1 import webhook_pb2 as webhook
from headrace.rollout.v1 import rollout_pb2 as rollout
from headrace.router.v1 import precomputed_pb2 as precomputed
from headrace.router.v1 import predict_pb2 as predict
from headrace.router.v1 import route_pb2 as route
from headrace.scorer.v1 import publications_pb2 as publications
from headrace.scorer.v1 import schedules_pb2 as schedules
from headrace.scorer.v1 import scorer_pb2 as scorer

from headrace_client.calls import Method

_APPROVALS = "/headrace.registry.v1.ApprovalService/"
_AUTOSCALER = "/headrace.autoscaler.v1.AutoscalerService/"
_ALERTS = "/headrace.monitor.v1.AlertService/"
_EXPERIMENTS = "/headrace.monitor.v1.ExperimentService/"
_MONITOR = "/headrace.monitor.v1.MonitorService/"
_OUTCOMES = "/headrace.monitor.v1.OutcomeService/"
_REGISTRY = "/headrace.registry.v1.RegistryService/"
_PLANNING = "/headrace.autoscaler.v1.PlanningService/"
_PRECOMPUTED = "/headrace.router.v1.PrecomputedService/"
_REGISTRY_WEBHOOKS = "/headrace.registry.v1.RegistryWebhookService/"
_ROLLOUTS = "/headrace.rollout.v1.RolloutService/"
_SCORING = "/headrace.scorer.v1.ScorerService/"
_PUBLICATIONS = "/headrace.scorer.v1.ScoringPublicationService/"
_SCHEDULES = "/headrace.scorer.v1.ScoringScheduleService/"
_USAGE = "/headrace.monitor.v1.UsageService/"
_ROUTES = "/headrace.router.v1.RouteService/"

PREDICT = Method("/headrace.router.v1.RouterService/Predict", predict.PredictRequest, predict.PredictResponse)
PREDICT_STREAM = Method(
    "/headrace.router.v1.RouterService/PredictStream",
    predict.PredictStreamRequest,
    predict.PredictStreamResponse,
    server_stream=True,
)
EXPLAIN = Method("/headrace.router.v1.RouterService/Explain", predict.ExplainRequest, predict.ExplainResponse)

LIST_MODELS = Method(_REGISTRY + "ListModels", registry.ListModelsRequest, registry.ListModelsResponse)
GET_MODEL = Method(_REGISTRY + "GetModel", registry.GetModelRequest, registry.GetModelResponse)
CREATE_MODEL = Method(_REGISTRY + "CreateModel", registry.CreateModelRequest, registry.CreateModelResponse)
UPDATE_MODEL = Method(_REGISTRY + "UpdateModel", registry.UpdateModelRequest, registry.UpdateModelResponse)
UPLOAD_ARTIFACT = Method(
    _REGISTRY + "UploadArtifact", registry.UploadArtifactRequest, registry.UploadArtifactResponse, client_stream=True
)
UPLOAD_CODE = Method(_REGISTRY + "UploadCode", registry.UploadCodeRequest, registry.UploadCodeResponse)
STREAM_CODE = Method(
    _REGISTRY + "StreamCode", registry.StreamCodeRequest, registry.StreamCodeResponse, client_stream=True
)
CREATE_VERSION = Method(
    _REGISTRY + "CreateModelVersion", registry.CreateModelVersionRequest, registry.CreateModelVersionResponse
)
GET_VERSION = Method(_REGISTRY + "GetModelVersion", registry.GetModelVersionRequest, registry.GetModelVersionResponse)
DOWNLOAD_ARTIFACT = Method(
    _REGISTRY + "DownloadArtifact",
    registry.DownloadArtifactRequest,
    registry.DownloadArtifactResponse,
    server_stream=True,
)
UPDATE_SERVING = Method(
    _REGISTRY + "UpdateServingSettings",
    registry.UpdateServingSettingsRequest,
    registry.UpdateServingSettingsResponse,
)
LIST_VERSIONS = Method(
    _REGISTRY + "ListModelVersions", registry.ListModelVersionsRequest, registry.ListModelVersionsResponse
)
PROMOTE = Method(
    _REGISTRY + "PromoteModelVersion", registry.PromoteModelVersionRequest, registry.PromoteModelVersionResponse
)
ROLLBACK = Method(_REGISTRY + "RollbackModel", registry.RollbackModelRequest, registry.RollbackModelResponse)
SET_ALIAS = Method(_REGISTRY + "SetAlias", registry.SetAliasRequest, registry.SetAliasResponse)
DELETE_ALIAS = Method(_REGISTRY + "DeleteAlias", registry.DeleteAliasRequest, registry.DeleteAliasResponse)
DELETE_MODEL = Method(_REGISTRY + "DeleteModel", registry.DeleteModelRequest, registry.DeleteModelResponse)
MODEL_AS_OF = Method(_REGISTRY + "GetModelAsOf", registry.GetModelAsOfRequest, registry.GetModelAsOfResponse)
HOLD_VERSION = Method(_REGISTRY + "HoldVersion", registry.HoldVersionRequest, registry.HoldVersionResponse)
RELEASE_HOLD = Method(_REGISTRY + "ReleaseHold", registry.ReleaseHoldRequest, registry.ReleaseHoldResponse)
LIST_HOLDS = Method(_REGISTRY + "ListHolds", registry.ListHoldsRequest, registry.ListHoldsResponse)
LIST_MEASUREMENTS = Method(
    _REGISTRY + "ListMeasurements", registry.ListMeasurementsRequest, registry.ListMeasurementsResponse
)
RECORD_MEASUREMENTS = Method(
    _REGISTRY + "RecordMeasuredMetrics",
    registry.RecordMeasuredMetricsRequest,
    registry.RecordMeasuredMetricsResponse,
)
LIST_EVENTS = Method(_REGISTRY + "ListModelEvents", registry.ListModelEventsRequest, registry.ListModelEventsResponse)

GET_ROUTE = Method(_ROUTES + "GetRoute", route.GetRouteRequest, route.GetRouteResponse)
LIST_ROUTES = Method(_ROUTES + "ListRoutes", route.ListRoutesRequest, route.ListRoutesResponse)
UPDATE_ROUTE = Method(_ROUTES + "UpdateRoute", route.UpdateRouteRequest, route.UpdateRouteResponse)
DRY_RUN_ROUTE = Method(_ROUTES + "DryRunRoute", route.DryRunRouteRequest, route.DryRunRouteResponse)
LIST_ROUTE_EVENTS = Method(_ROUTES + "ListRouteEvents", route.ListRouteEventsRequest, route.ListRouteEventsResponse)
ASSIGN_UNIT = Method(_ROUTES + "AssignUnit", route.AssignUnitRequest, route.AssignUnitResponse)
PURGE_CACHE = Method(_ROUTES + "PurgeCache", route.PurgeCacheRequest, route.PurgeCacheResponse)
LIST_BATCHERS = Method(_ROUTES + "ListBatchers", route.ListBatchersRequest, route.ListBatchersResponse)
AWAIT_EPOCH = Method(_ROUTES + "AwaitRegistryEpoch", route.AwaitRegistryEpochRequest, route.AwaitRegistryEpochResponse)

BEGIN_PUBLISH = Method(_PRECOMPUTED + "BeginPublish", precomputed.BeginPublishRequest, precomputed.BeginPublishResponse)
UPLOAD_ANSWERS = Method(
    _PRECOMPUTED + "UploadAnswers",
    precomputed.UploadAnswersRequest,
    precomputed.UploadAnswersResponse,
    client_stream=True,
    server_stream=True,
)
COMMIT_PUBLISH = Method(
    _PRECOMPUTED + "CommitPublish", precomputed.CommitPublishRequest, precomputed.CommitPublishResponse
)
ABORT_PUBLISH = Method(_PRECOMPUTED + "AbortPublish", precomputed.AbortPublishRequest, precomputed.AbortPublishResponse)
GET_PUBLISH = Method(_PRECOMPUTED + "GetPublish", precomputed.GetPublishRequest, precomputed.GetPublishResponse)
REVERT_PRECOMPUTED = Method(
    _PRECOMPUTED + "RevertPrecomputed", precomputed.RevertPrecomputedRequest, precomputed.RevertPrecomputedResponse
)
LIST_PRECOMPUTED = Method(
    _PRECOMPUTED + "ListPrecomputed", precomputed.ListPrecomputedRequest, precomputed.ListPrecomputedResponse
)

LIST_TRAFFIC = Method(_MONITOR + "ListTraffic", monitor.ListTrafficRequest, monitor.ListTrafficResponse)
GET_TRAFFIC = Method(_MONITOR + "GetTraffic", monitor.GetTrafficRequest, monitor.GetTrafficResponse)
FREEZE_REFERENCE = Method(_MONITOR + "FreezeReference", monitor.FreezeReferenceRequest, monitor.FreezeReferenceResponse)
GET_REFERENCE = Method(_MONITOR + "GetReference", monitor.GetReferenceRequest, monitor.GetReferenceResponse)
GET_DRIFT = Method(_MONITOR + "GetDrift", monitor.GetDriftRequest, monitor.GetDriftResponse)
GET_DISTRIBUTIONS = Method(
    _MONITOR + "GetDistributions", monitor.GetDistributionsRequest, monitor.GetDistributionsResponse
)
LIST_DRIFT = Method(_MONITOR + "ListDrift", monitor.ListDriftRequest, monitor.ListDriftResponse)
SET_DRIFT_TOLERANCE = Method(
    _MONITOR + "SetDriftTolerance", monitor.SetDriftToleranceRequest, monitor.SetDriftToleranceResponse
)
LIST_DRIFT_TOLERANCES = Method(
    _MONITOR + "ListDriftTolerances", monitor.ListDriftTolerancesRequest, monitor.ListDriftTolerancesResponse
)
GET_PERFORMANCE = Method(_MONITOR + "GetPerformance", monitor.GetPerformanceRequest, monitor.GetPerformanceResponse)
QUERY_PREDICTIONS = Method(
    _MONITOR + "QueryPredictions", monitor.QueryPredictionsRequest, monitor.QueryPredictionsResponse, server_stream=True
)
RENDER_REPORT = Method(_MONITOR + "RenderReport", monitor.RenderReportRequest, monitor.RenderReportResponse)
GET_SHADOW_REPORT = Method(
    _MONITOR + "GetShadowReport", monitor.GetShadowReportRequest, monitor.GetShadowReportResponse
)

GET_USAGE = Method(_USAGE + "GetUsage", usage.GetUsageRequest, usage.GetUsageResponse)
GET_IDLE_TIME = Method(_USAGE + "GetIdleTime", usage.GetIdleTimeRequest, usage.GetIdleTimeResponse)
PUT_BUDGET = Method(_USAGE + "PutBudget", usage.PutBudgetRequest, usage.PutBudgetResponse)
LIST_BUDGETS = Method(_USAGE + "ListBudgets", usage.ListBudgetsRequest, usage.ListBudgetsResponse)
DELETE_BUDGET = Method(_USAGE + "DeleteBudget", usage.DeleteBudgetRequest, usage.DeleteBudgetResponse)
PUT_RATE_LIMIT = Method(_USAGE + "PutRateLimit", usage.PutRateLimitRequest, usage.PutRateLimitResponse)
LIST_RATE_LIMITS = Method(_USAGE + "ListRateLimits", usage.ListRateLimitsRequest, usage.ListRateLimitsResponse)
DELETE_RATE_LIMIT = Method(_USAGE + "DeleteRateLimit", usage.DeleteRateLimitRequest, usage.DeleteRateLimitResponse)

RECORD_OUTCOMES = Method(_OUTCOMES + "RecordOutcomes", outcome.RecordOutcomesRequest, outcome.RecordOutcomesResponse)

PUT_ALERT_RULE = Method(_ALERTS + "PutAlertRule", alert.PutAlertRuleRequest, alert.PutAlertRuleResponse)
LIST_ALERT_RULES = Method(_ALERTS + "ListAlertRules", alert.ListAlertRulesRequest, alert.ListAlertRulesResponse)
DELETE_ALERT_RULE = Method(_ALERTS + "DeleteAlertRule", alert.DeleteAlertRuleRequest, alert.DeleteAlertRuleResponse)
LIST_ALERTS = Method(_ALERTS + "ListAlerts", alert.ListAlertsRequest, alert.ListAlertsResponse)
RESOLVE_ALERT = Method(_ALERTS + "ResolveAlert", alert.ResolveAlertRequest, alert.ResolveAlertResponse)
SILENCE_ALERTS = Method(_ALERTS + "SilenceAlerts", alert.SilenceAlertsRequest, alert.SilenceAlertsResponse)
LIST_SILENCES = Method(_ALERTS + "ListSilences", alert.ListSilencesRequest, alert.ListSilencesResponse)
DELETE_SILENCE = Method(_ALERTS + "DeleteSilence", alert.DeleteSilenceRequest, alert.DeleteSilenceResponse)
PUT_WEBHOOK = Method(_ALERTS + "PutWebhook", alert.PutWebhookRequest, alert.PutWebhookResponse)
LIST_WEBHOOKS = Method(_ALERTS + "ListWebhooks", alert.ListWebhooksRequest, alert.ListWebhooksResponse)
DELETE_WEBHOOK = Method(_ALERTS + "DeleteWebhook", alert.DeleteWebhookRequest, alert.DeleteWebhookResponse)
WATCH_ALERTS = Method(_ALERTS + "WatchAlerts", alert.WatchAlertsRequest, alert.WatchAlertsResponse, server_stream=True)

CREATE_EXPERIMENT = Method(
    _EXPERIMENTS + "CreateExperiment", experiment.CreateExperimentRequest, experiment.CreateExperimentResponse
)
GET_EXPERIMENT = Method(
    _EXPERIMENTS + "GetExperiment", experiment.GetExperimentRequest, experiment.GetExperimentResponse
)
LIST_EXPERIMENTS = Method(
    _EXPERIMENTS + "ListExperiments", experiment.ListExperimentsRequest, experiment.ListExperimentsResponse
)
START_EXPERIMENT = Method(
    _EXPERIMENTS + "StartExperiment", experiment.StartExperimentRequest, experiment.StartExperimentResponse
)
CHANGE_SHARES = Method(_EXPERIMENTS + "ChangeShares", experiment.ChangeSharesRequest, experiment.ChangeSharesResponse)
END_EXPERIMENT = Method(
    _EXPERIMENTS + "EndExperiment", experiment.EndExperimentRequest, experiment.EndExperimentResponse
)
ANALYSE_EXPERIMENT = Method(
    _EXPERIMENTS + "AnalyseExperiment", experiment.AnalyseExperimentRequest, experiment.AnalyseExperimentResponse
)
GET_EXPERIMENT_HISTORY = Method(
    _EXPERIMENTS + "GetExperimentHistory",
    experiment.GetExperimentHistoryRequest,
    experiment.GetExperimentHistoryResponse,
)
RENDER_EXPERIMENT_REPORT = Method(
    _EXPERIMENTS + "RenderExperimentReport",
    experiment.RenderExperimentReportRequest,
    experiment.RenderExperimentReportResponse,
)
EXPORT_EXPERIMENT_UNITS = Method(
    _EXPERIMENTS + "ExportExperimentUnits",
    experiment.ExportExperimentUnitsRequest,
    experiment.ExportExperimentUnitsResponse,
    server_stream=True,
)
PLAN_EXPERIMENT = Method(
    _EXPERIMENTS + "PlanExperiment", experiment.PlanExperimentRequest, experiment.PlanExperimentResponse
)

GET_APPROVAL_POLICY = Method(
    _APPROVALS + "GetApprovalPolicy", approval.GetApprovalPolicyRequest, approval.GetApprovalPolicyResponse
)
PUT_APPROVAL_POLICY = Method(
    _APPROVALS + "PutApprovalPolicy", approval.PutApprovalPolicyRequest, approval.PutApprovalPolicyResponse
)
REQUEST_PROMOTION = Method(
    _APPROVALS + "RequestPromotion", approval.RequestPromotionRequest, approval.RequestPromotionResponse
)
GET_PROMOTION_REQUEST = Method(
    _APPROVALS + "GetPromotionRequest", approval.GetPromotionRequestRequest, approval.GetPromotionRequestResponse
)
LIST_PROMOTION_REQUESTS = Method(
    _APPROVALS + "ListPromotionRequests", approval.ListPromotionRequestsRequest, approval.ListPromotionRequestsResponse
)
REVIEW_PROMOTION = Method(
    _APPROVALS + "ReviewPromotion", approval.ReviewPromotionRequest, approval.ReviewPromotionResponse
)
APPROVE_PROMOTION = Method(
    _APPROVALS + "ApprovePromotion", approval.ApprovePromotionRequest, approval.ApprovePromotionResponse
)
REJECT_PROMOTION = Method(
    _APPROVALS + "RejectPromotion", approval.RejectPromotionRequest, approval.RejectPromotionResponse
)
WITHDRAW_PROMOTION = Method(
    _APPROVALS + "WithdrawPromotion", approval.WithdrawPromotionRequest, approval.WithdrawPromotionResponse
)
BREAK_GLASS = Method(_APPROVALS + "BreakGlass", approval.BreakGlassRequest, approval.BreakGlassResponse)

PUT_REGISTRY_WEBHOOK = Method(
    _REGISTRY_WEBHOOKS + "PutRegistryWebhook", webhook.PutRegistryWebhookRequest, webhook.PutRegistryWebhookResponse
)
LIST_REGISTRY_WEBHOOKS = Method(
    _REGISTRY_WEBHOOKS + "ListRegistryWebhooks",
    webhook.ListRegistryWebhooksRequest,
    webhook.ListRegistryWebhooksResponse,
)
DELETE_REGISTRY_WEBHOOK = Method(
    _REGISTRY_WEBHOOKS + "DeleteRegistryWebhook",
    webhook.DeleteRegistryWebhookRequest,
    webhook.DeleteRegistryWebhookResponse,
)
PUT_ROLLOUT_WEBHOOK = Method(
    _ROLLOUTS + "PutRolloutWebhook", rollout.PutRolloutWebhookRequest, rollout.PutRolloutWebhookResponse
)
LIST_ROLLOUT_WEBHOOKS = Method(
    _ROLLOUTS + "ListRolloutWebhooks", rollout.ListRolloutWebhooksRequest, rollout.ListRolloutWebhooksResponse
)
DELETE_ROLLOUT_WEBHOOK = Method(
    _ROLLOUTS + "DeleteRolloutWebhook", rollout.DeleteRolloutWebhookRequest, rollout.DeleteRolloutWebhookResponse
)

PLAN_ROLLOUT = Method(_ROLLOUTS + "PlanRollout", rollout.PlanRolloutRequest, rollout.PlanRolloutResponse)
START_ROLLOUT = Method(_ROLLOUTS + "StartRollout", rollout.StartRolloutRequest, rollout.StartRolloutResponse)
RUN_EXPERIMENT = Method(_ROLLOUTS + "RunExperiment", rollout.RunExperimentRequest, rollout.RunExperimentResponse)
CONCLUDE_EXPERIMENT = Method(
    _ROLLOUTS + "ConcludeExperiment", rollout.ConcludeExperimentRequest, rollout.ConcludeExperimentResponse
)
GET_ROLLOUT = Method(_ROLLOUTS + "GetRollout", rollout.GetRolloutRequest, rollout.GetRolloutResponse)
LIST_ROLLOUTS = Method(_ROLLOUTS + "ListRollouts", rollout.ListRolloutsRequest, rollout.ListRolloutsResponse)
PAUSE_ROLLOUT = Method(_ROLLOUTS + "PauseRollout", rollout.PauseRolloutRequest, rollout.PauseRolloutResponse)
RESUME_ROLLOUT = Method(_ROLLOUTS + "ResumeRollout", rollout.ResumeRolloutRequest, rollout.ResumeRolloutResponse)
PROMOTE_ROLLOUT = Method(_ROLLOUTS + "PromoteRollout", rollout.PromoteRolloutRequest, rollout.PromoteRolloutResponse)
ABORT_ROLLOUT = Method(_ROLLOUTS + "AbortRollout", rollout.AbortRolloutRequest, rollout.AbortRolloutResponse)
LIST_ROLLOUT_EVENTS = Method(
    _ROLLOUTS + "ListRolloutEvents", rollout.ListRolloutEventsRequest, rollout.ListRolloutEventsResponse
)
WATCH_ROLLOUT = Method(
    _ROLLOUTS + "WatchRollout", rollout.WatchRolloutRequest, rollout.WatchRolloutResponse, server_stream=True
)
GET_ROLLOUT_TEMPLATE = Method(
    _ROLLOUTS + "GetRolloutTemplate", rollout.GetRolloutTemplateRequest, rollout.GetRolloutTemplateResponse
)
PUT_ROLLOUT_TEMPLATE = Method(
    _ROLLOUTS + "PutRolloutTemplate", rollout.PutRolloutTemplateRequest, rollout.PutRolloutTemplateResponse
)

LIST_POOLS = Method(_AUTOSCALER + "ListPools", autoscaler.ListPoolsRequest, autoscaler.ListPoolsResponse)
GET_POLICY = Method(_AUTOSCALER + "GetPolicy", autoscaler.GetPolicyRequest, autoscaler.GetPolicyResponse)
PUT_POLICY = Method(_AUTOSCALER + "PutPolicy", autoscaler.PutPolicyRequest, autoscaler.PutPolicyResponse)
DRY_RUN_POLICY = Method(_AUTOSCALER + "DryRunPolicy", autoscaler.DryRunPolicyRequest, autoscaler.DryRunPolicyResponse)
DELETE_POLICY = Method(_AUTOSCALER + "DeletePolicy", autoscaler.DeletePolicyRequest, autoscaler.DeletePolicyResponse)
PAUSE_POOL = Method(_AUTOSCALER + "PausePool", autoscaler.PausePoolRequest, autoscaler.PausePoolResponse)
RESUME_POOL = Method(_AUTOSCALER + "ResumePool", autoscaler.ResumePoolRequest, autoscaler.ResumePoolResponse)
LIST_DECISIONS = Method(
    _AUTOSCALER + "ListDecisions", autoscaler.ListDecisionsRequest, autoscaler.ListDecisionsResponse
)
EXPLAIN_DECISION = Method(
    _AUTOSCALER + "ExplainDecision", autoscaler.ExplainDecisionRequest, autoscaler.ExplainDecisionResponse
)
REPLAY_POOL = Method(_AUTOSCALER + "Replay", autoscaler.ReplayRequest, autoscaler.ReplayResponse, server_stream=True)
WATCH_POOL = Method(
    _AUTOSCALER + "WatchPool", autoscaler.WatchPoolRequest, autoscaler.WatchPoolResponse, server_stream=True
)

ADVISE_POOL = Method(_PLANNING + "Advise", planning.AdviseRequest, planning.AdviseResponse, server_stream=True)

CHECK_HEALTH = Method("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse)

PUT_SCORING_WEBHOOK = Method(
    _SCORING + "PutScoringWebhook", scorer.PutScoringWebhookRequest, scorer.PutScoringWebhookResponse
)
LIST_SCORING_WEBHOOKS = Method(
    _SCORING + "ListScoringWebhooks", scorer.ListScoringWebhooksRequest, scorer.ListScoringWebhooksResponse
)
DELETE_SCORING_WEBHOOK = Method(
    _SCORING + "DeleteScoringWebhook", scorer.DeleteScoringWebhookRequest, scorer.DeleteScoringWebhookResponse
)
CREATE_SCORING_JOB = Method(
    _SCORING + "CreateScoringJob", scorer.CreateScoringJobRequest, scorer.CreateScoringJobResponse
)
ESTIMATE_SCORING_JOB = Method(
    _SCORING + "EstimateScoringJob", scorer.EstimateScoringJobRequest, scorer.EstimateScoringJobResponse
)
GET_SCORING_JOB = Method(_SCORING + "GetScoringJob", scorer.GetScoringJobRequest, scorer.GetScoringJobResponse)
LIST_SCORING_JOBS = Method(_SCORING + "ListScoringJobs", scorer.ListScoringJobsRequest, scorer.ListScoringJobsResponse)
PAUSE_SCORING_JOB = Method(_SCORING + "PauseScoringJob", scorer.PauseScoringJobRequest, scorer.PauseScoringJobResponse)
RESUME_SCORING_JOB = Method(
    _SCORING + "ResumeScoringJob", scorer.ResumeScoringJobRequest, scorer.ResumeScoringJobResponse
)
CANCEL_SCORING_JOB = Method(
    _SCORING + "CancelScoringJob", scorer.CancelScoringJobRequest, scorer.CancelScoringJobResponse
)
RETRY_SCORING_JOB = Method(_SCORING + "RetryScoringJob", scorer.RetryScoringJobRequest, scorer.RetryScoringJobResponse)
LIST_SCORING_JOB_EVENTS = Method(
    _SCORING + "ListScoringJobEvents", scorer.ListScoringJobEventsRequest, scorer.ListScoringJobEventsResponse
)
WATCH_SCORING_JOB = Method(
    _SCORING + "WatchScoringJob", scorer.WatchScoringJobRequest, scorer.WatchScoringJobResponse, server_stream=True
)
PUBLISH_SCORING_JOB = Method(
    _PUBLICATIONS + "PublishScoringJob", publications.PublishScoringJobRequest, publications.PublishScoringJobResponse
)
GET_SCORING_PUBLICATION = Method(
    _PUBLICATIONS + "GetScoringPublication",
    publications.GetScoringPublicationRequest,
    publications.GetScoringPublicationResponse,
)
APPROVE_SCORING_PUBLICATION = Method(
    _PUBLICATIONS + "ApproveScoringPublication",
    publications.ApproveScoringPublicationRequest,
    publications.ApproveScoringPublicationResponse,
)
REVERT_SCORING_PUBLICATION = Method(
    _PUBLICATIONS + "RevertScoringPublication",
    publications.RevertScoringPublicationRequest,
    publications.RevertScoringPublicationResponse,
)
PUT_SCORING_SCHEDULE = Method(
    _SCHEDULES + "PutScoringSchedule", schedules.PutScoringScheduleRequest, schedules.PutScoringScheduleResponse
)
GET_SCORING_SCHEDULE = Method(
    _SCHEDULES + "GetScoringSchedule", schedules.GetScoringScheduleRequest, schedules.GetScoringScheduleResponse
)
LIST_SCORING_SCHEDULES = Method(
    _SCHEDULES + "ListScoringSchedules", schedules.ListScoringSchedulesRequest, schedules.ListScoringSchedulesResponse
)
PAUSE_SCORING_SCHEDULE = Method(
    _SCHEDULES + "PauseScoringSchedule", schedules.PauseScoringScheduleRequest, schedules.PauseScoringScheduleResponse
)
RESUME_SCORING_SCHEDULE = Method(
    _SCHEDULES + "ResumeScoringSchedule",
    schedules.ResumeScoringScheduleRequest,
    schedules.ResumeScoringScheduleResponse,
)
DELETE_SCORING_SCHEDULE = Method(
    _SCHEDULES + "DeleteScoringSchedule",
    schedules.DeleteScoringScheduleRequest,
    schedules.DeleteScoringScheduleResponse,
)
