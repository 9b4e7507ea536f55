"""Groups of methods that clients have of the core."""

import warnings
from collections.abc import Mapping
from typing import Any

from headrace_client.callers import Group, Kind, Method
from headrace_client.operations import (
    declarations,
    downloads,
    holds,
    models,
    precomputed,
    readiness,
    registration,
    routes,
    usage,
    webhooks,
)


class Models(Group[Kind]):
    """The registry's models."""

    list = Method(models.list_models)
    page = Method(models.models_page)
    get = Method(models.get_model)
    as_of = Method(holds.model_as_of)
    create = Method(models.create_model)
    delete = Method(holds.delete_model)
    promote = Method(models.promote)
    rollback = Method(models.rollback)
    set_alias = Method(models.set_alias)
    delete_alias = Method(models.delete_alias)
    set_gates = Method(models.set_gates)
    set_max_unpromoted_share = Method(models.set_max_unpromoted_share)
    history = Method(models.history)
    put_webhook = Method(webhooks.put_registry_webhook)
    list_webhooks = Method(webhooks.list_registry_webhooks)
    delete_webhook = Method(webhooks.delete_registry_webhook)


class Versions(Group[Kind]):
    """Versions of models: immutable, with measurements and holds."""

    register = Method(registration.register_version)
    list = Method(models.list_versions)
    get = Method(models.get_version)
    update_serving = Method(models.update_serving)
    download_artifact = Method(downloads.download_artifact)
    list_measurements = Method(holds.list_measurements)
    record_measurements = Method(holds.record_measurements)
    list_holds = Method(holds.list_holds)
    hold = Method(holds.hold_version)
    release_hold = Method(holds.release_hold)


class Routes(Group[Kind]):
    """Where traffic goes, and what answers it."""

    list = Method(routes.list_routes)
    get = Method(routes.get_route)
    split = Method(declarations.split)
    declare = Method(declarations.declare)
    set_rules = Method(declarations.set_rules)
    set_lookup = Method(declarations.set_lookup)
    set_fallback = Method(declarations.set_fallback)
    set_hedging = Method(declarations.set_hedging)
    set_shadow = Method(declarations.set_shadow)
    dry_run = Method(declarations.dry_run)
    history = Method(routes.route_history)
    assign = Method(routes.assign)
    await_epoch = Method(readiness.await_epoch)
    purge_cache = Method(routes.purge_cache)
    list_batchers = Method(routes.list_batchers)


class Precomputed(Group[Kind]):
    """Answers that are computed before they are asked for."""

    publish = Method(precomputed.precompute)
    begin = Method(precomputed.begin_publish)
    open = Method(precomputed.open_publish)
    resume = Method(precomputed.continue_publish)
    upload = Method(precomputed.upload_answers)
    commit = Method(precomputed.commit_publish)
    abort = Method(precomputed.abort_publish)
    revert = Method(precomputed.revert_precomputed)
    list = Method(precomputed.list_precomputed)


class Usage(Group[Kind]):
    """Who used batchers for how long."""

    report = Method(usage.usage)
    idle_time = Method(usage.idle_time)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the report, as `client.usage(…)` did before there were groups."""
        warnings.warn("`usage` is `usage.report`", DeprecationWarning, stacklevel=2)
        either: Any = self
        return either.report(*args, **kwargs)


class Budgets(Group[Kind]):
    """Time of batchers that a client may use."""

    put = Method(usage.put_budget)
    list = Method(usage.list_budgets)
    delete = Method(usage.delete_budget)


class RateLimits(Group[Kind]):
    """Requests that a client may send."""

    put = Method(usage.put_rate_limit)
    list = Method(usage.list_rate_limits)
    delete = Method(usage.delete_rate_limit)


CORE: Mapping[str, type[Group[Any]]] = {
    "models": Models,
    "versions": Versions,
    "routes": Routes,
    "precomputed": Precomputed,
    "usage": Usage,
    "budgets": Budgets,
    "rate_limits": RateLimits,
}
