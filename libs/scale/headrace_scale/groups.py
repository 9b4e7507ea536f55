"""Groups of methods that clients have of the part scale."""

from headrace_client.callers import Group, Kind, Method

from headrace_scale.operations import autoscaler


class Pools(Group[Kind]):
    """How many replicas pools have, and why."""

    list = Method(autoscaler.list_pools)
    get_policy = Method(autoscaler.get_policy)
    put_policy = Method(autoscaler.put_policy)
    dry_run_policy = Method(autoscaler.dry_run_policy)
    delete_policy = Method(autoscaler.delete_policy)
    pause = Method(autoscaler.pause_pool)
    resume = Method(autoscaler.resume_pool)
    advise = Method(autoscaler.advise_pool)
    watch = Method(autoscaler.watch_pool)
    list_decisions = Method(autoscaler.list_decisions)
    explain_decision = Method(autoscaler.explain_decision)
    replay = Method(autoscaler.replay_pool)
