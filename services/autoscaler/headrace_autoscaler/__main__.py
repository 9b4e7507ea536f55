"""`python -m headrace_autoscaler` is the service; `commands.py` has what else it does."""

from headrace_servicekit.process import run

from headrace_autoscaler.commands import COMMANDS
from headrace_autoscaler.service import start
from headrace_autoscaler.settings import AutoscalerSettings

if __name__ == "__main__":
    run("autoscaler", AutoscalerSettings, start, commands=COMMANDS)
