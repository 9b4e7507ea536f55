"""`python -m headrace_router.control` is the control plane; `commands.py` has what else it does."""

from headrace_servicekit.process import run

from headrace_router.control.commands import COMMANDS
from headrace_router.control.service import start
from headrace_router.control.settings import ControlSettings

if __name__ == "__main__":
    run("router.control", ControlSettings, start, commands=COMMANDS)
