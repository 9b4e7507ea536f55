"""`python -m headrace_scorer` is the service; `commands.py` has what else it does."""

from headrace_servicekit.process import run

from headrace_scorer.commands import COMMANDS
from headrace_scorer.service import start
from headrace_scorer.settings import ScorerSettings

if __name__ == "__main__":
    run("scorer", ScorerSettings, start, commands=COMMANDS)
