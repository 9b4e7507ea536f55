"""`python -m headrace_autoscaler` is the service, with `migrate` what it does to its database at its start."""

from headrace_servicekit.postgres.migrated import migrate_command
from headrace_servicekit.process import run

from headrace_autoscaler.service import start
from headrace_autoscaler.settings import AutoscalerSettings
from headrace_autoscaler.storage.database import Database

if __name__ == "__main__":
    run("autoscaler", AutoscalerSettings, start, commands=(migrate_command(Database),))
