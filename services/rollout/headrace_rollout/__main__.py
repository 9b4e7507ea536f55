"""`python -m headrace_rollout` is the service; `commands.py` has what else it does."""

from headrace_servicekit.process import run

from headrace_rollout.commands import COMMANDS
from headrace_rollout.service import start
from headrace_rollout.settings import RolloutSettings

if __name__ == "__main__":
    run("rollout", RolloutSettings, start, commands=COMMANDS)
