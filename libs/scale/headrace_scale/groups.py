"""Groups of methods that clients have of the part scale."""

from headrace_client.callers import Group, Kind, Method

from headrace_scale.operations import scaling


class Pools(Group[Kind]):
    """How many replicas pools have, and why."""

    list = Method(scaling.list_pools)
    get_policy = Method(scaling.get_policy)
    put_policy = Method(scaling.put_policy)
    dry_run_policy = Method(scaling.dry_run_policy)
    delete_policy = Method(scaling.delete_policy)
    pause = Method(scaling.pause_pool)
    resume = Method(scaling.resume_pool)
    advise = Method(scaling.advise_pool)
    watch = Method(scaling.watch_pool)
    list_decisions = Method(scaling.list_decisions)
    explain_decision = Method(scaling.explain_decision)
    replay = Method(scaling.replay_pool)
