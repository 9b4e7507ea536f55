"""Groups of methods that clients have of the part release."""

from headrace_client.callers import Group, Kind, Method

from headrace_release.operations import approvals, experiments, rollouts


class Rollouts(Group[Kind]):
    """Versions that get more traffic by steps."""

    plan = Method(rollouts.plan_rollout)
    start = Method(rollouts.start_rollout)
    get = Method(rollouts.get_rollout)
    list = Method(rollouts.list_rollouts)
    pause = Method(rollouts.pause_rollout)
    resume = Method(rollouts.resume_rollout)
    promote = Method(rollouts.promote_rollout)
    abort = Method(rollouts.abort_rollout)
    history = Method(rollouts.rollout_history)
    watch = Method(rollouts.watch_rollout)
    get_template = Method(rollouts.get_rollout_template)
    put_template = Method(rollouts.put_rollout_template)
    put_webhook = Method(rollouts.put_rollout_webhook)
    list_webhooks = Method(rollouts.list_rollout_webhooks)
    delete_webhook = Method(rollouts.delete_rollout_webhook)


class Experiments(Group[Kind]):
    """Versions compared on traffic."""

    create = Method(experiments.create_experiment)
    get = Method(experiments.get_experiment)
    list = Method(experiments.list_experiments)
    start = Method(experiments.start_experiment)
    change_shares = Method(experiments.change_shares)
    end = Method(experiments.end_experiment)
    analyse = Method(experiments.analyse_experiment)
    run = Method(rollouts.run_experiment)
    conclude = Method(rollouts.conclude_experiment)
    history = Method(experiments.get_experiment_history)
    render_report = Method(experiments.render_experiment_report)
    export_units = Method(experiments.export_experiment_units)
    plan = Method(experiments.plan_experiment)


class Approvals(Group[Kind]):
    """Promotions that people review first."""

    get_policy = Method(approvals.get_approval_policy)
    put_policy = Method(approvals.put_approval_policy)
    request = Method(approvals.request_promotion)
    get = Method(approvals.get_promotion_request)
    list = Method(approvals.list_promotion_requests)
    review = Method(approvals.review_promotion)
    approve = Method(approvals.approve_promotion)
    reject = Method(approvals.reject_promotion)
    withdraw = Method(approvals.withdraw_promotion)
    break_glass = Method(approvals.break_glass)
