"""Pure: how long a start is waited for, judged by what its processes do."""

from dataclasses import dataclass

from headrace_stack.component import StartPolicy

# What a process that only waits, and asks now and then, stays below in `quiet_s`; one of twenty that want the same core
# uses four times as much.
_CPU_S = 0.25
_IO_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Use of the component's processes since they began: CPU time, bytes read and written.

    Bytes include log lines. Their number does not count: a process that logs each second what it waits for would never
    look stuck.
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
    """Return why a start has failed; None while it may continue.

    quiet_s: since its last progress. first: it has never been ready; a component that has been may take as long as it
    makes progress.
    """
    if waited_s < policy.patience_s:
        return None
    if quiet_s >= policy.quiet_s:
        return f"not ready after {waited_s:.0f} s, and its processes have done nothing for {quiet_s:.0f} s"
    if first and waited_s >= policy.most_s:
        return f"not ready after {waited_s:.0f} s, although its processes are busy"
    return None
