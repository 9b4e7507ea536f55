"""Pure: what happens after a component died."""

from dataclasses import dataclass

from headrace_stack.component import RestartPolicy


@dataclass(frozen=True, slots=True)
class Death:
    """One end of a process: how long it lived, and whether it had become ready in that life."""

    lived_s: float
    was_ready: bool


@dataclass(frozen=True, slots=True)
class RestartAfter:
    """Start again after `wait_s`; `deaths_in_a_row` goes into the next decision."""

    wait_s: float
    deaths_in_a_row: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The component never worked and will not: starting the stack fails."""

    deaths: int


def decide(policy: RestartPolicy, death: Death, deaths_in_a_row: int, ever_ready: bool) -> RestartAfter | GiveUp:
    """Return whether and when to start again, given how often it died in a row before this death."""
    steady = death.was_ready and death.lived_s >= policy.steady_s
    deaths = 1 if steady else deaths_in_a_row + 1
    if not ever_ready and deaths >= policy.start_attempts:
        return GiveUp(deaths)
    # The exponent is bounded so that a component dying for days does not overflow a float.
    return RestartAfter(min(policy.most_s, policy.first_s * 2 ** min(deaths - 1, 30)), deaths)
