"""`python -m headrace_monitor` is the service; `commands.py` has what else it does."""

from headrace_servicekit.process import run

from headrace_monitor.commands import COMMANDS
from headrace_monitor.service import start
from headrace_monitor.settings import MonitorSettings

if __name__ == "__main__":
    run("monitor", MonitorSettings, start, commands=COMMANDS)
