"""`python -m headrace_monitor` is the service; `commands.py` has what else it does."""

import sys

from headrace_servicekit.process import run

from headrace_monitor import commands
from headrace_monitor.service import start
from headrace_monitor.settings import MonitorSettings

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in commands.NAMES:
        sys.exit(commands.main(sys.argv[1:]))
    run("monitor", MonitorSettings, start)
