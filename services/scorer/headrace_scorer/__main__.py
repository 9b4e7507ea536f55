"""`python -m headrace_scorer` is the service, with `migrate` what it does to its database at its start."""

from headrace_servicekit.postgres.migrated import migrate_command
from headrace_servicekit.process import run

from headrace_scorer.service import start
from headrace_scorer.settings import ScorerSettings
from headrace_scorer.store import database

if __name__ == "__main__":
    run("scorer", ScorerSettings, start, commands=(migrate_command(database),))
