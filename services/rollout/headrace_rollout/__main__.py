"""`python -m headrace_rollout` is the service, with `migrate` what it does to its database at its start."""

from headrace_servicekit.postgres.migrated import migrate_command
from headrace_servicekit.process import run

from headrace_rollout.service import start
from headrace_rollout.settings import RolloutSettings
from headrace_rollout.store import database

if __name__ == "__main__":
    run("rollout", RolloutSettings, start, commands=(migrate_command(database),))
