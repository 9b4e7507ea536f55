"""`python -m headrace_console` is the service, with `migrate` what it does to its database at its start."""

from headrace_servicekit.postgres.migrated import migrate_command
from headrace_servicekit.process import run

from headrace_console.service import start
from headrace_console.sessions.store import database
from headrace_console.settings import ConsoleSettings

if __name__ == "__main__":
    run("console", ConsoleSettings, start, commands=(migrate_command(database),))
