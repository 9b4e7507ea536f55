"""The two clients: the same operations, one blocking and one awaited."""

from __future__ import annotations

import copy
import functools
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self

import grpc
import grpc.aio

from headrace_client.address import Address, parse_address
from headrace_client.calls import Operation, Result, Session
from headrace_client.drivers import AsyncDriver, BlockingDriver
from headrace_client.local_files import read_as, text_of
from headrace_client.local_stack import default_address
from headrace_client.operations import (
    alerting,
    approving,
    awaiting,
    declaring,
    downloading,
    experiments,
    explaining,
    health,
    keeping,
    models,
    monitoring,
    outcomes,
    precomputing,
    prediction,
    registration,
    rollouts,
    routes,
    scaling,
    scoring,
    scoring_publications,
    scoring_schedules,
    state,
    usage_reports,
    webhooks,
)
from headrace_client.retries import RetryPolicy
from headrace_client.tokens import TokenCache, TokenProvider, provider_of

Arguments = ParamSpec("Arguments")

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class _Connection:
    """Where a client calls, and with which token."""

    _driver: Any

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | TokenProvider | None = None,
        ca: Path | str | None = None,
        retry: RetryPolicy | None = None,
        server_name: str = "",
    ) -> None:
        """Open a client; nothing is sent before the first call.

        address: `host:port`, `http://…` or `https://…`; None means HEADRACE_ADDRESS, else the local
        stack's front door, else 127.0.0.1:8080.
        token: a token, or a provider asked shortly before the last one expires; None means HEADRACE_TOKEN,
        HEADRACE_TOKEN_FILE, or the development issuer of a local stack.
        ca: PEM file of the authority to trust; it turns TLS on.
        server_name: that the front door's certificate must have, where it is not that of the address.
        """
        self.address: Address = parse_address(address or default_address(), ca_given=ca is not None)
        self._session = Session(TokenCache(provider_of(token)), retry or RetryPolicy())
        self._credentials = _credentials(self.address, ca)
        self._options = _options(self.address, server_name)

    @classmethod
    def like(cls, other: _Connection, *, retry: RetryPolicy | None = None) -> Self:
        """Return a client that calls the same place with the same tokens as another one. retry: None for as it does."""
        made = cls.__new__(cls)
        session = other._session if retry is None else replace(other._session, retry=retry)
        made.address, made._session, made._credentials = other.address, session, other._credentials
        made._options = other._options
        return made

    def with_token(self, token: str | TokenProvider, headers: tuple[tuple[str, str], ...] = ()) -> Self:
        """Return a client for another caller over the same connection, which this client owns and closes.

        headers: sent with each of its calls, such as a trace context.
        """
        other = copy.copy(self)
        other._session = Session(TokenCache(provider_of(token)), self._session.retry, headers=headers)
        other._driver = self._driver
        return other


def _blocking(
    operation: Callable[Concatenate[Session, Arguments], Operation[Result]],
) -> Callable[Concatenate[Client, Arguments], Result]:
    @functools.wraps(operation)
    def method(client: Client, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return client._driver.run(operation(client._session, *args, **kwargs))

    return method


def _awaited(
    operation: Callable[Concatenate[Session, Arguments], Operation[Result]],
) -> Callable[Concatenate[AsyncClient, Arguments], Coroutine[Any, Any, Result]]:
    @functools.wraps(operation)
    async def method(client: AsyncClient, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return await client._driver.run(operation(client._session, *args, **kwargs))

    return method


class Client(_Connection):
    """Calls Headrace and blocks until the answer is there. Many threads may share one."""

    predict = _blocking(prediction.predict)
    predict_stream = _blocking(prediction.predict_stream)
    explain = _blocking(explaining.explain)
    list_models = _blocking(models.list_models)
    models_page = _blocking(models.models_page)
    get_model = _blocking(models.get_model)
    create_model = _blocking(models.create_model)
    list_versions = _blocking(models.list_versions)
    get_version = _blocking(models.get_version)
    update_serving = _blocking(models.update_serving)
    download_artifact = _blocking(downloading.download_artifact)
    register_version = _blocking(registration.register_version)
    promote = _blocking(models.promote)
    rollback = _blocking(models.rollback)
    set_alias = _blocking(models.set_alias)
    delete_alias = _blocking(models.delete_alias)
    set_gates = _blocking(models.set_gates)
    set_max_unpromoted_share = _blocking(models.set_max_unpromoted_share)
    history = _blocking(models.history)
    model_as_of = _blocking(keeping.model_as_of)
    list_measurements = _blocking(keeping.list_measurements)
    record_measurements = _blocking(keeping.record_measurements)
    get_approval_policy = _blocking(approving.get_approval_policy)
    put_approval_policy = _blocking(approving.put_approval_policy)
    request_promotion = _blocking(approving.request_promotion)
    get_promotion_request = _blocking(approving.get_promotion_request)
    list_promotion_requests = _blocking(approving.list_promotion_requests)
    review_promotion = _blocking(approving.review_promotion)
    approve_promotion = _blocking(approving.approve_promotion)
    reject_promotion = _blocking(approving.reject_promotion)
    withdraw_promotion = _blocking(approving.withdraw_promotion)
    break_glass = _blocking(approving.break_glass)
    hold_version = _blocking(keeping.hold_version)
    release_hold = _blocking(keeping.release_hold)
    list_holds = _blocking(keeping.list_holds)
    delete_model = _blocking(keeping.delete_model)
    get_route = _blocking(routes.get_route)
    list_routes = _blocking(routes.list_routes)
    list_batchers = _blocking(routes.list_batchers)
    split = _blocking(declaring.split)
    declare = _blocking(declaring.declare)
    set_rules = _blocking(declaring.set_rules)
    set_lookup = _blocking(declaring.set_lookup)
    set_fallback = _blocking(declaring.set_fallback)
    set_hedging = _blocking(declaring.set_hedging)
    set_shadow = _blocking(declaring.set_shadow)
    dry_run = _blocking(declaring.dry_run)
    route_history = _blocking(routes.route_history)
    assign = _blocking(routes.assign)
    purge_cache = _blocking(routes.purge_cache)
    await_epoch = _blocking(awaiting.await_epoch)
    precompute = _blocking(precomputing.precompute)
    begin_publish = _blocking(precomputing.begin_publish)
    open_publish = _blocking(precomputing.open_publish)
    continue_publish = _blocking(precomputing.continue_publish)
    upload_answers = _blocking(precomputing.upload_answers)
    commit_publish = _blocking(precomputing.commit_publish)
    abort_publish = _blocking(precomputing.abort_publish)
    revert_precomputed = _blocking(precomputing.revert_precomputed)
    list_precomputed = _blocking(precomputing.list_precomputed)
    record_outcome = _blocking(outcomes.record_outcome)
    record_outcomes = _blocking(outcomes.record_outcomes)
    plan_changes = _blocking(state.plan_changes)
    apply_change = _blocking(state.apply_change)
    usage = _blocking(usage_reports.usage)
    idle_time = _blocking(usage_reports.idle_time)
    put_budget = _blocking(usage_reports.put_budget)
    list_budgets = _blocking(usage_reports.list_budgets)
    delete_budget = _blocking(usage_reports.delete_budget)
    put_rate_limit = _blocking(usage_reports.put_rate_limit)
    list_rate_limits = _blocking(usage_reports.list_rate_limits)
    delete_rate_limit = _blocking(usage_reports.delete_rate_limit)
    query = _blocking(monitoring.query)
    traffic = _blocking(monitoring.traffic)
    list_traffic = _blocking(monitoring.list_traffic)
    freeze_reference = _blocking(monitoring.freeze_reference)
    get_reference = _blocking(monitoring.get_reference)
    set_drift_tolerance = _blocking(monitoring.set_drift_tolerance)
    drift_tolerances = _blocking(monitoring.drift_tolerances)
    drift = _blocking(monitoring.drift)
    list_drifts = _blocking(monitoring.list_drifts)
    distributions = _blocking(monitoring.distributions)
    performance = _blocking(monitoring.performance)
    render_report = _blocking(monitoring.render_report)
    shadow_report = _blocking(monitoring.shadow_report)
    create_experiment = _blocking(experiments.create_experiment)
    get_experiment = _blocking(experiments.get_experiment)
    list_experiments = _blocking(experiments.list_experiments)
    start_experiment = _blocking(experiments.start_experiment)
    change_shares = _blocking(experiments.change_shares)
    end_experiment = _blocking(experiments.end_experiment)
    analyse_experiment = _blocking(experiments.analyse_experiment)
    publish_scoring_job = _blocking(scoring_publications.publish_scoring_job)
    get_scoring_publication = _blocking(scoring_publications.get_scoring_publication)
    await_scoring_publication = _blocking(scoring_publications.await_scoring_publication)
    approve_scoring_publication = _blocking(scoring_publications.approve_scoring_publication)
    revert_scoring_publication = _blocking(scoring_publications.revert_scoring_publication)

    put_scoring_schedule = _blocking(scoring_schedules.put_scoring_schedule)
    get_scoring_schedule = _blocking(scoring_schedules.get_scoring_schedule)
    list_scoring_schedules = _blocking(scoring_schedules.list_scoring_schedules)
    pause_scoring_schedule = _blocking(scoring_schedules.pause_scoring_schedule)
    resume_scoring_schedule = _blocking(scoring_schedules.resume_scoring_schedule)
    delete_scoring_schedule = _blocking(scoring_schedules.delete_scoring_schedule)

    run_experiment = _blocking(rollouts.run_experiment)
    conclude_experiment = _blocking(rollouts.conclude_experiment)
    get_experiment_history = _blocking(experiments.get_experiment_history)
    render_experiment_report = _blocking(experiments.render_experiment_report)
    export_experiment_units = _blocking(experiments.export_experiment_units)
    plan_experiment = _blocking(experiments.plan_experiment)
    put_registry_webhook = _blocking(webhooks.put_registry_webhook)
    list_registry_webhooks = _blocking(webhooks.list_registry_webhooks)
    delete_registry_webhook = _blocking(webhooks.delete_registry_webhook)
    put_rollout_webhook = _blocking(webhooks.put_rollout_webhook)
    list_rollout_webhooks = _blocking(webhooks.list_rollout_webhooks)
    delete_rollout_webhook = _blocking(webhooks.delete_rollout_webhook)
    put_scoring_webhook = _blocking(webhooks.put_scoring_webhook)
    list_scoring_webhooks = _blocking(webhooks.list_scoring_webhooks)
    delete_scoring_webhook = _blocking(webhooks.delete_scoring_webhook)
    plan_rollout = _blocking(rollouts.plan_rollout)
    start_rollout = _blocking(rollouts.start_rollout)
    get_rollout = _blocking(rollouts.get_rollout)
    list_rollouts = _blocking(rollouts.list_rollouts)
    pause_rollout = _blocking(rollouts.pause_rollout)
    resume_rollout = _blocking(rollouts.resume_rollout)
    promote_rollout = _blocking(rollouts.promote_rollout)
    abort_rollout = _blocking(rollouts.abort_rollout)
    rollout_history = _blocking(rollouts.rollout_history)
    watch_rollout = _blocking(rollouts.watch_rollout)
    get_rollout_template = _blocking(rollouts.get_rollout_template)
    put_rollout_template = _blocking(rollouts.put_rollout_template)
    create_scoring_job = _blocking(scoring.create_scoring_job)
    estimate_scoring_job = _blocking(scoring.estimate_scoring_job)
    get_scoring_job = _blocking(scoring.get_scoring_job)
    list_scoring_jobs = _blocking(scoring.list_scoring_jobs)
    watch_scoring_job = _blocking(scoring.watch_scoring_job)
    pause_scoring_job = _blocking(scoring.pause_scoring_job)
    resume_scoring_job = _blocking(scoring.resume_scoring_job)
    cancel_scoring_job = _blocking(scoring.cancel_scoring_job)
    retry_scoring_job = _blocking(scoring.retry_scoring_job)
    scoring_job_history = _blocking(scoring.scoring_job_history)
    list_alerts = _blocking(alerting.list_alerts)
    resolve_alert = _blocking(alerting.resolve_alert)
    watch_alerts = _blocking(alerting.watch_alerts)
    list_alert_rules = _blocking(alerting.list_alert_rules)
    put_alert_rule = _blocking(alerting.put_alert_rule)
    delete_alert_rule = _blocking(alerting.delete_alert_rule)
    silence_alerts = _blocking(alerting.silence_alerts)
    list_silences = _blocking(alerting.list_silences)
    delete_silence = _blocking(alerting.delete_silence)
    list_webhooks = _blocking(alerting.list_webhooks)
    put_webhook = _blocking(alerting.put_webhook)
    delete_webhook = _blocking(alerting.delete_webhook)
    list_pools = _blocking(scaling.list_pools)
    get_policy = _blocking(scaling.get_policy)
    put_policy = _blocking(scaling.put_policy)
    dry_run_policy = _blocking(scaling.dry_run_policy)
    delete_policy = _blocking(scaling.delete_policy)
    pause_pool = _blocking(scaling.pause_pool)
    resume_pool = _blocking(scaling.resume_pool)
    advise_pool = _blocking(scaling.advise_pool)
    watch_pool = _blocking(scaling.watch_pool)
    list_decisions = _blocking(scaling.list_decisions)
    explain_decision = _blocking(scaling.explain_decision)
    replay_pool = _blocking(scaling.replay_pool)
    health = _blocking(health.health)

    @functools.cached_property
    def _driver(self) -> BlockingDriver:
        options = self._options
        if self._credentials is None:
            return BlockingDriver(grpc.insecure_channel(self.address.target, options))
        return BlockingDriver(grpc.secure_channel(self.address.target, self._credentials, options))

    def close(self) -> None:
        """Close the connection; calls in progress fail with Cancelled."""
        if "_driver" in self.__dict__:
            self._driver.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Connection):
    """Calls Headrace from an event loop. Use one per loop; any number of tasks may share it."""

    predict = _awaited(prediction.predict)
    predict_stream = _awaited(prediction.predict_stream)
    explain = _awaited(explaining.explain)
    list_models = _awaited(models.list_models)
    models_page = _awaited(models.models_page)
    get_model = _awaited(models.get_model)
    create_model = _awaited(models.create_model)
    list_versions = _awaited(models.list_versions)
    get_version = _awaited(models.get_version)
    update_serving = _awaited(models.update_serving)
    download_artifact = _awaited(downloading.download_artifact)
    register_version = _awaited(registration.register_version)
    promote = _awaited(models.promote)
    rollback = _awaited(models.rollback)
    set_alias = _awaited(models.set_alias)
    delete_alias = _awaited(models.delete_alias)
    set_gates = _awaited(models.set_gates)
    set_max_unpromoted_share = _awaited(models.set_max_unpromoted_share)
    history = _awaited(models.history)
    model_as_of = _awaited(keeping.model_as_of)
    list_measurements = _awaited(keeping.list_measurements)
    record_measurements = _awaited(keeping.record_measurements)
    get_approval_policy = _awaited(approving.get_approval_policy)
    put_approval_policy = _awaited(approving.put_approval_policy)
    request_promotion = _awaited(approving.request_promotion)
    get_promotion_request = _awaited(approving.get_promotion_request)
    list_promotion_requests = _awaited(approving.list_promotion_requests)
    review_promotion = _awaited(approving.review_promotion)
    approve_promotion = _awaited(approving.approve_promotion)
    reject_promotion = _awaited(approving.reject_promotion)
    withdraw_promotion = _awaited(approving.withdraw_promotion)
    break_glass = _awaited(approving.break_glass)
    hold_version = _awaited(keeping.hold_version)
    release_hold = _awaited(keeping.release_hold)
    list_holds = _awaited(keeping.list_holds)
    delete_model = _awaited(keeping.delete_model)
    get_route = _awaited(routes.get_route)
    list_routes = _awaited(routes.list_routes)
    list_batchers = _awaited(routes.list_batchers)
    split = _awaited(declaring.split)
    declare = _awaited(declaring.declare)
    set_rules = _awaited(declaring.set_rules)
    set_lookup = _awaited(declaring.set_lookup)
    set_fallback = _awaited(declaring.set_fallback)
    set_hedging = _awaited(declaring.set_hedging)
    set_shadow = _awaited(declaring.set_shadow)
    dry_run = _awaited(declaring.dry_run)
    route_history = _awaited(routes.route_history)
    assign = _awaited(routes.assign)
    purge_cache = _awaited(routes.purge_cache)
    await_epoch = _awaited(awaiting.await_epoch)
    precompute = _awaited(precomputing.precompute)
    begin_publish = _awaited(precomputing.begin_publish)
    open_publish = _awaited(precomputing.open_publish)
    continue_publish = _awaited(precomputing.continue_publish)
    upload_answers = _awaited(precomputing.upload_answers)
    commit_publish = _awaited(precomputing.commit_publish)
    abort_publish = _awaited(precomputing.abort_publish)
    revert_precomputed = _awaited(precomputing.revert_precomputed)
    list_precomputed = _awaited(precomputing.list_precomputed)
    record_outcome = _awaited(outcomes.record_outcome)
    record_outcomes = _awaited(outcomes.record_outcomes)
    plan_changes = _awaited(state.plan_changes)
    apply_change = _awaited(state.apply_change)
    usage = _awaited(usage_reports.usage)
    idle_time = _awaited(usage_reports.idle_time)
    put_budget = _awaited(usage_reports.put_budget)
    list_budgets = _awaited(usage_reports.list_budgets)
    delete_budget = _awaited(usage_reports.delete_budget)
    put_rate_limit = _awaited(usage_reports.put_rate_limit)
    list_rate_limits = _awaited(usage_reports.list_rate_limits)
    delete_rate_limit = _awaited(usage_reports.delete_rate_limit)
    query = _awaited(monitoring.query)
    traffic = _awaited(monitoring.traffic)
    list_traffic = _awaited(monitoring.list_traffic)
    freeze_reference = _awaited(monitoring.freeze_reference)
    get_reference = _awaited(monitoring.get_reference)
    set_drift_tolerance = _awaited(monitoring.set_drift_tolerance)
    drift_tolerances = _awaited(monitoring.drift_tolerances)
    drift = _awaited(monitoring.drift)
    list_drifts = _awaited(monitoring.list_drifts)
    distributions = _awaited(monitoring.distributions)
    performance = _awaited(monitoring.performance)
    render_report = _awaited(monitoring.render_report)
    shadow_report = _awaited(monitoring.shadow_report)
    create_experiment = _awaited(experiments.create_experiment)
    get_experiment = _awaited(experiments.get_experiment)
    list_experiments = _awaited(experiments.list_experiments)
    start_experiment = _awaited(experiments.start_experiment)
    change_shares = _awaited(experiments.change_shares)
    end_experiment = _awaited(experiments.end_experiment)
    analyse_experiment = _awaited(experiments.analyse_experiment)
    publish_scoring_job = _awaited(scoring_publications.publish_scoring_job)
    get_scoring_publication = _awaited(scoring_publications.get_scoring_publication)
    await_scoring_publication = _awaited(scoring_publications.await_scoring_publication)
    approve_scoring_publication = _awaited(scoring_publications.approve_scoring_publication)
    revert_scoring_publication = _awaited(scoring_publications.revert_scoring_publication)

    put_scoring_schedule = _awaited(scoring_schedules.put_scoring_schedule)
    get_scoring_schedule = _awaited(scoring_schedules.get_scoring_schedule)
    list_scoring_schedules = _awaited(scoring_schedules.list_scoring_schedules)
    pause_scoring_schedule = _awaited(scoring_schedules.pause_scoring_schedule)
    resume_scoring_schedule = _awaited(scoring_schedules.resume_scoring_schedule)
    delete_scoring_schedule = _awaited(scoring_schedules.delete_scoring_schedule)

    run_experiment = _awaited(rollouts.run_experiment)
    conclude_experiment = _awaited(rollouts.conclude_experiment)
    get_experiment_history = _awaited(experiments.get_experiment_history)
    render_experiment_report = _awaited(experiments.render_experiment_report)
    export_experiment_units = _awaited(experiments.export_experiment_units)
    plan_experiment = _awaited(experiments.plan_experiment)
    put_registry_webhook = _awaited(webhooks.put_registry_webhook)
    list_registry_webhooks = _awaited(webhooks.list_registry_webhooks)
    delete_registry_webhook = _awaited(webhooks.delete_registry_webhook)
    put_rollout_webhook = _awaited(webhooks.put_rollout_webhook)
    list_rollout_webhooks = _awaited(webhooks.list_rollout_webhooks)
    delete_rollout_webhook = _awaited(webhooks.delete_rollout_webhook)
    put_scoring_webhook = _awaited(webhooks.put_scoring_webhook)
    list_scoring_webhooks = _awaited(webhooks.list_scoring_webhooks)
    delete_scoring_webhook = _awaited(webhooks.delete_scoring_webhook)
    plan_rollout = _awaited(rollouts.plan_rollout)
    start_rollout = _awaited(rollouts.start_rollout)
    get_rollout = _awaited(rollouts.get_rollout)
    list_rollouts = _awaited(rollouts.list_rollouts)
    pause_rollout = _awaited(rollouts.pause_rollout)
    resume_rollout = _awaited(rollouts.resume_rollout)
    promote_rollout = _awaited(rollouts.promote_rollout)
    abort_rollout = _awaited(rollouts.abort_rollout)
    rollout_history = _awaited(rollouts.rollout_history)
    watch_rollout = _awaited(rollouts.watch_rollout)
    get_rollout_template = _awaited(rollouts.get_rollout_template)
    put_rollout_template = _awaited(rollouts.put_rollout_template)
    create_scoring_job = _awaited(scoring.create_scoring_job)
    estimate_scoring_job = _awaited(scoring.estimate_scoring_job)
    get_scoring_job = _awaited(scoring.get_scoring_job)
    list_scoring_jobs = _awaited(scoring.list_scoring_jobs)
    watch_scoring_job = _awaited(scoring.watch_scoring_job)
    pause_scoring_job = _awaited(scoring.pause_scoring_job)
    resume_scoring_job = _awaited(scoring.resume_scoring_job)
    cancel_scoring_job = _awaited(scoring.cancel_scoring_job)
    retry_scoring_job = _awaited(scoring.retry_scoring_job)
    scoring_job_history = _awaited(scoring.scoring_job_history)
    list_alerts = _awaited(alerting.list_alerts)
    resolve_alert = _awaited(alerting.resolve_alert)
    watch_alerts = _awaited(alerting.watch_alerts)
    list_alert_rules = _awaited(alerting.list_alert_rules)
    put_alert_rule = _awaited(alerting.put_alert_rule)
    delete_alert_rule = _awaited(alerting.delete_alert_rule)
    silence_alerts = _awaited(alerting.silence_alerts)
    list_silences = _awaited(alerting.list_silences)
    delete_silence = _awaited(alerting.delete_silence)
    list_webhooks = _awaited(alerting.list_webhooks)
    put_webhook = _awaited(alerting.put_webhook)
    delete_webhook = _awaited(alerting.delete_webhook)
    list_pools = _awaited(scaling.list_pools)
    get_policy = _awaited(scaling.get_policy)
    put_policy = _awaited(scaling.put_policy)
    dry_run_policy = _awaited(scaling.dry_run_policy)
    delete_policy = _awaited(scaling.delete_policy)
    pause_pool = _awaited(scaling.pause_pool)
    resume_pool = _awaited(scaling.resume_pool)
    advise_pool = _awaited(scaling.advise_pool)
    watch_pool = _awaited(scaling.watch_pool)
    list_decisions = _awaited(scaling.list_decisions)
    explain_decision = _awaited(scaling.explain_decision)
    replay_pool = _awaited(scaling.replay_pool)
    health = _awaited(health.health)

    @functools.cached_property
    def _driver(self) -> AsyncDriver:
        options = self._options
        if self._credentials is None:
            return AsyncDriver(grpc.aio.insecure_channel(self.address.target, options))
        return AsyncDriver(grpc.aio.secure_channel(self.address.target, self._credentials, options))

    async def close(self) -> None:
        """Close the connection; calls in progress are cancelled."""
        if "_driver" in self.__dict__:
            await self._driver.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


_CA_REMEDY = "give certificates of authorities in PEM, each between BEGIN CERTIFICATE and END CERTIFICATE"


def _credentials(address: Address, ca: Path | str | None) -> grpc.ChannelCredentials | None:
    if not address.tls:
        return None
    if ca is None:
        return grpc.ssl_channel_credentials()
    authorities = text_of(Path(ca), "ca", "a file of certificates", _CA_REMEDY)
    with read_as("a file of certificates", Path(ca), "ca", _CA_REMEDY):
        # grpc takes anything, and then trusts nobody.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities)
    return grpc.ssl_channel_credentials(authorities.encode())


def _options(address: Address, server_name: str) -> list[tuple[str, int | str]]:
    named: list[tuple[str, int | str]] = [("grpc.ssl_target_name_override", server_name)] if server_name else []
    return [
        *named,
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        # Tries are ours, within the caller's deadline; two layers of retries would multiply.
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # A proxy of the environment cannot reach this machine's loopback.
        ("grpc.enable_http_proxy", 0 if address.loopback else 1),
    ]
