"""Pure: what happens after a component died, and when one that is not well is ended."""

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


# One answer may be late, or two.
_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Illness:
    """What was seen of a component since it was last well: since when its checks fail, how many, what the last said."""

    since_s: float
    failures: int
    said: str

    def lasted_s(self, now_s: float) -> float:
        return now_s - self.since_s


def observe(before: Illness | None, asked_s: float, said: str | None, *, excused: bool) -> Illness | None:
    """Return the illness after a check that was begun at `asked_s` and `said` what is missing, None when nothing is.

    excused: something that the component leans on is not well, so this says nothing about the component.
    """
    if said is None or excused:
        return None
    return Illness(asked_s, 1, said) if before is None else Illness(before.since_s, before.failures + 1, said)


def patience_s(policy: RestartPolicy, start_took_s: float, endings_in_a_row: int) -> float:
    """Return how long a component may be unwell: to start it again must promise to be the quicker way back.

    endings_in_a_row: how often it was ended for being unwell without having been well for `steady_s` in between. On a
    machine that is too busy for everything, to start things again makes it busier: the patience grows.
    """
    least_s = max(policy.patience_s, 2 * start_took_s)
    return min(max(policy.most_patience_s, least_s), least_s * 2 ** min(endings_in_a_row, 30))


def ends(illness: Illness, now_s: float, patience: float) -> bool:
    """Whether to end the process, so that it is started again."""
    return illness.failures >= _FAILURES and illness.lasted_s(now_s) >= patience
