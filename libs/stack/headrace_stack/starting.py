"""Pure: how long a start is waited for, judged by what its processes do."""

from dataclasses import dataclass

from headrace_stack.component import StartPolicy

# What a process that only waits, and asks now and then, stays below in `quiet_s`; one of twenty that want the same core
# uses four times as much.
_CPU_S = 0.25
_IO_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of a component have used since they began: time on the processor, bytes read and written.

    Log lines are part of it. They do not count by their number: one that says each second what it waits for goes on
    for ever.
    """

    cpu_s: float = 0.0
    io_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """The last time at which a start had gone on, and what it had used by then."""

    at_s: float
    used: Usage


def follow(before: Progress, now_s: float, used: Usage) -> Progress:
    """Return the progress after another look."""
    cpu_s, io_bytes = used.cpu_s - before.used.cpu_s, used.io_bytes - before.used.io_bytes
    # Less than before: a process of several has ended.
    goes_on = cpu_s >= _CPU_S or io_bytes >= _IO_BYTES or cpu_s < 0 or io_bytes < 0
    return Progress(now_s, used) if goes_on else before


def is_watched(policy: StartPolicy, waited_s: float) -> bool:
    """Whether its processes must be looked at by now: to look costs, and most starts are over before."""
    return waited_s >= policy.patience_s - policy.quiet_s


def give_up(policy: StartPolicy, waited_s: float, quiet_s: float, *, first: bool) -> str | None:
    """Return why a start is waited for no longer, None while it is.

    quiet_s: since it last went on. first: it has never worked; what has worked may take as long as it goes on.
    """
    if waited_s < policy.patience_s:
        return None
    if quiet_s >= policy.quiet_s:
        return f"not ready after {waited_s:.0f} s, and its processes have done nothing for {quiet_s:.0f} s"
    if first and waited_s >= policy.most_s:
        return f"not ready after {waited_s:.0f} s, although its processes are busy"
    return None
