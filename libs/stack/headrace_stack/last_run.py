"""Looks at what runs: the answers that `adoption` decides on."""

import psutil

from headrace_stack import snapshot
from headrace_stack.adoption import Running, TakenPort
from headrace_stack.component import Component
from headrace_stack.ports import Port, taken
from headrace_stack.process import is_alive
from headrace_stack.settings import StackSettings


def find(settings: StackSettings) -> Running:
    """Read the last snapshot and see which of its processes live."""
    seen = snapshot.read(settings.snapshot)
    if seen is None:
        return Running(None, supervisor_alive=False)
    processes = (status.process for status in seen.components)
    leftovers = tuple(process for process in processes if process is not None and is_alive(process))
    return Running(seen, supervisor_alive=is_alive(seen.supervisor), leftovers=leftovers)


def taken_ports(components: tuple[Component, ...]) -> tuple[TakenPort, ...]:
    """Return the ports of the components that are not free, with who listens there as far as we may know."""
    busy = taken(port for component in components for port in component.ports)
    return tuple(TakenPort(port, _owner(port)) for port in busy)


def _owner(port: Port) -> str | None:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.pid is None:
            continue
        if connection.laddr.port == port.number:
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.NoSuchProcess:
                return None
    return None
