"""How a stack looks on a terminal, from its snapshot."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from headrace_stack.parts import Part, adding
from headrace_stack.ports import HOST, Ports, is_open_to_browsers
from headrace_stack.replicas import Backend, named
from headrace_stack.snapshot import Phase, Snapshot, State

_DETAIL_LENGTH = 240
# Without a table, print the pending component at this interval.
_WAITING_SHOWN_EVERY_S = 30.0
_STYLE = {State.READY: "green", State.FAILED: "bold red", State.RESTARTING: "yellow", State.STARTING: "cyan"}


def table(
    seen: Snapshot, elapsed_s: float | None = None, missing: Mapping[str, str | None] | None = None
) -> RenderableType:
    """One line per component, and below what there is to say of each. `missing`: what each health check said just now,
    None for healthy."""
    clock = "" if elapsed_s is None else f" {elapsed_s:.1f} s"
    rows = Table(title=f"{seen.phase.lower()}{clock}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("component", "state", "ports", "pid", "ready after", "restarts"):
        rows.add_column(heading)
    said = []
    for status in seen.components:
        state, detail = status.state, status.detail
        unhealthy = (missing or {}).get(status.name)
        if unhealthy is not None and state is State.READY:
            state, detail = State.FAILED, detail or f"does not answer: {unhealthy}"
        elif status.restarts and not detail:
            detail = f"started again: {status.restarted_for}"
        if detail:
            said.append(Text(f"{status.name}: {detail}"[:_DETAIL_LENGTH], style="dim"))
        rows.add_row(
            status.name,
            Text(state.lower(), style=_STYLE.get(state, "")),
            ranges(status.ports),
            "" if status.process is None else str(status.process.pid),
            "" if status.ready_after_s is None else f"{status.ready_after_s:.1f} s",
            str(status.restarts or ""),
        )
    said += [Text(f"{name}: its simulator takes faults at {HOST}:{port}") for name, port in simulators(seen).items()]
    return Group(rows, *said)


def simulators(seen: Snapshot) -> dict[str, int]:
    """Return the ports at which simulators take faults, by the batchers that started them."""
    pools = [pool for pool in seen.replicas.pools if pool.backend is Backend.SIMULATOR]
    names = {named(f"batcher-{pool.name}", number) for pool in pools for number in pool.numbers}
    return {status.name: status.ports[-1] for status in seen.components if status.name in names}


def ranges(numbers: Iterable[int]) -> str:
    """Write port numbers briefly: `8102-8109` for neighbours."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


class Progress:
    """Shows a stack starting or stopping: a live table on a terminal, one line per event elsewhere."""

    def __init__(self, console: Console, finished: State) -> None:
        self._console = console
        self._finished = finished
        self._live = Live(console=console, transient=True) if console.is_terminal else None
        self._shown: set[str] = set()
        self._waiting_shown_s = 0.0

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, seen: Snapshot, elapsed_s: float) -> None:
        if self._live is not None:
            self._live.update(table(seen, elapsed_s))
            return
        for status in seen.components:
            if status.state is self._finished and status.name not in self._shown:
                self._shown.add(status.name)
                self._console.print(f"{elapsed_s:6.1f} s  {status.name} {status.state.lower()}", highlight=False)
        if elapsed_s - self._waiting_shown_s >= _WAITING_SHOWN_EVERY_S:
            self._waiting_shown_s = elapsed_s
            self._show_waiting(seen, elapsed_s)

    def _show_waiting(self, seen: Snapshot, elapsed_s: float) -> None:
        for status in seen.components:
            if status.state in (State.STARTING, State.RESTARTING, State.STOPPING):
                doing = f"{status.name} is still {status.state.lower()}: {status.detail}"[:_DETAIL_LENGTH]
                self._console.print(f"{elapsed_s:6.1f} s  {doing}", highlight=False, markup=False)


def addresses(ports: Ports, *, console: bool = True) -> str:
    """Where to call the stack, to be printed under a stack that is ready. console: whether there is one."""
    url = ports.front_door_url()
    pages = f"{url}/console/  signed in: .venv/bin/headrace console"
    if not is_open_to_browsers(ports.base):
        pages = f"browsers refuse port {ports.base}: set HEADRACE_BASE_PORT to another one, {ports.base + 1} say"
    shown = f"console     {pages}\n" if console else ""
    return (
        f"front door  {url}  gRPC, REST and gRPC-Web\n"
        f"{shown}"
        f"token       .venv/bin/headrace token\n"
        f"stop        make down"
    )


def not_installed(known: Mapping[str, Part], absent: Sequence[str], installed: Sequence[str]) -> str:
    """Which parts are not installed, what each is for, and how one is added; a line each."""
    return "\n".join(
        f"not installed: {name} ({known[name].purpose}); `{adding(name, installed)}` adds it" for name in absent
    )


def summary(seen: Snapshot) -> str:
    ready = sum(status.state is State.READY for status in seen.components)
    if seen.phase is Phase.READY and ready == len(seen.components):
        return f"all {ready} components are ready"
    return f"{ready} of {len(seen.components)} components are ready"
