# pyright: reportMissingImports=false
from typing import Any

from headrace_bulk.groups import Jobs, Publications, Schedules
from headrace_describe.groups import State
from headrace_observe.groups import Alerts, Monitor, Outcomes
from headrace_release.groups import Approvals, Experiments, Rollouts
from headrace_scale.groups import Pools

from headrace_client.callers import Caller, Group, Kind
from headrace_client.groups import Budgets, Models, Precomputed, RateLimits, Routes, Usage, Versions

def groups() -> tuple[str, ...]: ...
def moved(name: str) -> Any: ...
def group_of(name: str) -> type[Group[Any]]: ...

class Installed(Caller[Kind]):
    models: Models[Kind]
    versions: Versions[Kind]
    routes: Routes[Kind]
    precomputed: Precomputed[Kind]
    usage: Usage[Kind]
    budgets: Budgets[Kind]
    rate_limits: RateLimits[Kind]
    jobs: Jobs[Kind]
    publications: Publications[Kind]
    schedules: Schedules[Kind]
    state: State[Kind]
    monitor: Monitor[Kind]
    outcomes: Outcomes[Kind]
    alerts: Alerts[Kind]
    rollouts: Rollouts[Kind]
    experiments: Experiments[Kind]
    approvals: Approvals[Kind]
    pools: Pools[Kind]
