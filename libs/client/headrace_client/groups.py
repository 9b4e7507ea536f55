"""Groups of methods that clients have of the core."""

import warnings
from collections.abc import Mapping
from typing import Any

from headrace_client.callers import Group, Kind, Method
from headrace_client.operations import (
    awaiting,
    declaring,
    downloading,
    keeping,
    models,
    precomputing,
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
    as_of = Method(keeping.model_as_of)
    create = Method(models.create_model)
    delete = Method(keeping.delete_model)
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
    download_artifact = Method(downloading.download_artifact)
    list_measurements = Method(keeping.list_measurements)
    record_measurements = Method(keeping.record_measurements)
    list_holds = Method(keeping.list_holds)
    hold = Method(keeping.hold_version)
    release_hold = Method(keeping.release_hold)


class Routes(Group[Kind]):
    """Where traffic goes, and what answers it."""

    list = Method(routes.list_routes)
    get = Method(routes.get_route)
    split = Method(declaring.split)
    declare = Method(declaring.declare)
    set_rules = Method(declaring.set_rules)
    set_lookup = Method(declaring.set_lookup)
    set_fallback = Method(declaring.set_fallback)
    set_hedging = Method(declaring.set_hedging)
    set_shadow = Method(declaring.set_shadow)
    dry_run = Method(declaring.dry_run)
    history = Method(routes.route_history)
    assign = Method(routes.assign)
    await_epoch = Method(awaiting.await_epoch)
    purge_cache = Method(routes.purge_cache)
    list_batchers = Method(routes.list_batchers)


class Precomputed(Group[Kind]):
    """Answers that are computed before they are asked for."""

    publish = Method(precomputing.precompute)
    begin = Method(precomputing.begin_publish)
    open = Method(precomputing.open_publish)
    resume = Method(precomputing.continue_publish)
    upload = Method(precomputing.upload_answers)
    commit = Method(precomputing.commit_publish)
    abort = Method(precomputing.abort_publish)
    revert = Method(precomputing.revert_precomputed)
    list = Method(precomputing.list_precomputed)


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
