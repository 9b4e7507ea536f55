"""The router's data plane as a process: `python -m headrace_router.data`."""

from headrace_servicekit.process import run

from headrace_router.data.service import start
from headrace_router.data.settings import DataSettings

if __name__ == "__main__":
    run("router.data", DataSettings, start)
