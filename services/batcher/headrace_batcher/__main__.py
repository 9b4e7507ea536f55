"""Run the batcher: `python -m headrace_batcher`."""

from headrace_servicekit.process import run

from headrace_batcher.service import start
from headrace_batcher.settings import BatcherSettings

if __name__ == "__main__":
    run("batcher", BatcherSettings, start)
