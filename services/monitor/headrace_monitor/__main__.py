"""`python -m headrace_monitor` is the service."""

from headrace_servicekit.runtime import run

from headrace_monitor.service import start
from headrace_monitor.settings import MonitorSettings

if __name__ == "__main__":
    run("monitor", MonitorSettings, start)
