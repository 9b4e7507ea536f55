"""`python -m headrace_console` is the service; `commands.py` has what else it does."""

from headrace_servicekit.process import run

from headrace_console.commands import COMMANDS
from headrace_console.service import start
from headrace_console.settings import ConsoleSettings

if __name__ == "__main__":
    run("console", ConsoleSettings, start, commands=COMMANDS)
