"""Groups of methods that clients have of the part observe."""

from headrace_client.callers import Group, Kind, Method

from headrace_observe.operations import alerts, monitor, outcomes


class Monitor(Group[Kind]):
    """What became of predictions."""

    query = Method(monitor.query)
    traffic = Method(monitor.traffic)
    list_traffic = Method(monitor.list_traffic)
    traffic_time_series = Method(monitor.traffic_time_series)
    freeze_reference = Method(monitor.freeze_reference)
    get_reference = Method(monitor.get_reference)
    set_drift_tolerance = Method(monitor.set_drift_tolerance)
    drift_tolerances = Method(monitor.drift_tolerances)
    drift = Method(monitor.drift)
    list_drifts = Method(monitor.list_drifts)
    distributions = Method(monitor.distributions)
    performance = Method(monitor.performance)
    render_report = Method(monitor.render_report)
    shadow_report = Method(monitor.shadow_report)
    render_shadow_report = Method(monitor.render_shadow_report)


class Outcomes(Group[Kind]):
    """What became true of what was predicted."""

    record_one = Method(outcomes.record_outcome)
    record = Method(outcomes.record_outcomes)


class Alerts(Group[Kind]):
    """What the monitor found wrong, and who hears of it."""

    list = Method(alerts.list_alerts)
    resolve = Method(alerts.resolve_alert)
    watch = Method(alerts.watch_alerts)
    list_rules = Method(alerts.list_alert_rules)
    put_rule = Method(alerts.put_alert_rule)
    delete_rule = Method(alerts.delete_alert_rule)
    silence = Method(alerts.silence_alerts)
    list_silences = Method(alerts.list_silences)
    delete_silence = Method(alerts.delete_silence)
    list_webhooks = Method(alerts.list_webhooks)
    put_webhook = Method(alerts.put_webhook)
    delete_webhook = Method(alerts.delete_webhook)
