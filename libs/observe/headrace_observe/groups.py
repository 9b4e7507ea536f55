"""Groups of methods that clients have of the part observe."""

from headrace_client.callers import Group, Kind, Method

from headrace_observe.operations import alerting, monitoring, outcomes


class Monitor(Group[Kind]):
    """What became of predictions."""

    query = Method(monitoring.query)
    traffic = Method(monitoring.traffic)
    list_traffic = Method(monitoring.list_traffic)
    freeze_reference = Method(monitoring.freeze_reference)
    get_reference = Method(monitoring.get_reference)
    set_drift_tolerance = Method(monitoring.set_drift_tolerance)
    drift_tolerances = Method(monitoring.drift_tolerances)
    drift = Method(monitoring.drift)
    list_drifts = Method(monitoring.list_drifts)
    distributions = Method(monitoring.distributions)
    performance = Method(monitoring.performance)
    render_report = Method(monitoring.render_report)
    shadow_report = Method(monitoring.shadow_report)
    render_shadow_report = Method(monitoring.render_shadow_report)


class Outcomes(Group[Kind]):
    """What became true of what was predicted."""

    record_one = Method(outcomes.record_outcome)
    record = Method(outcomes.record_outcomes)


class Alerts(Group[Kind]):
    """What the monitor found wrong, and who hears of it."""

    list = Method(alerting.list_alerts)
    resolve = Method(alerting.resolve_alert)
    watch = Method(alerting.watch_alerts)
    list_rules = Method(alerting.list_alert_rules)
    put_rule = Method(alerting.put_alert_rule)
    delete_rule = Method(alerting.delete_alert_rule)
    silence = Method(alerting.silence_alerts)
    list_silences = Method(alerting.list_silences)
    delete_silence = Method(alerting.delete_silence)
    list_webhooks = Method(alerting.list_webhooks)
    put_webhook = Method(alerting.put_webhook)
    delete_webhook = Method(alerting.delete_webhook)
