"""`python -m headrace_registry` is the service; `commands.py` has what else it does."""

from headrace_servicekit.process import run

from headrace_registry.commands import COMMANDS
from headrace_registry.service import start
from headrace_registry.settings import RegistrySettings

if __name__ == "__main__":
    run("registry", RegistrySettings, start, commands=COMMANDS)
