"""`python -m headrace_registry` is the service; `backup`, `restore`, `collect` and `migrate` are commands beside it."""

import sys

from headrace_servicekit.process import run

from headrace_registry import commands
from headrace_registry.service import start
from headrace_registry.settings import RegistrySettings

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in commands.NAMES:
        sys.exit(commands.main(sys.argv[1:]))
    run("registry", RegistrySettings, start)
