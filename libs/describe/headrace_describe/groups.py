"""Groups of methods that clients have of the part describe."""

from headrace_client.callers import Group, Kind, Method

from headrace_describe.operations import state


class State(Group[Kind]):
    """An installation as files describe it."""

    plan = Method(state.plan_changes)
    apply = Method(state.apply_change)
