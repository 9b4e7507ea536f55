"""How long the front door does not answer when its Envoy, with the data plane in it, is killed.

python -m benchmarks.restart [--beside 2]    beside: processes that do nothing but use the processor
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import time

import httpx
import psutil

from benchmarks.systems.stack import FRONT_DOOR, Stack, running_stack

KILLS = 7
# Between two: the launcher brings back only what it has found ready.
PAUSE_S = 3.0
ASK_EVERY_S, ASK_TIMEOUT_S = 0.01, 0.3


def back_after_s(stack: Stack) -> float:
    """Kill Envoy; return the time until `/healthz` is 200 again."""
    (envoy,) = psutil.Process(stack.processes[FRONT_DOOR]).children()
    with httpx.Client(timeout=ASK_TIMEOUT_S) as client:
        envoy.send_signal(signal.SIGKILL)
        killed_at = time.perf_counter()
        envoy.wait()
        while not is_well(client, stack):
            time.sleep(ASK_EVERY_S)
        return time.perf_counter() - killed_at


def is_well(client: httpx.Client, stack: Stack) -> bool:
    """Return whether the front door answers, and says that predictions are."""
    try:
        return client.get(f"http://127.0.0.1:{stack.port}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=int, default=0)
    beside = parser.parse_args().beside
    stack = running_stack()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(beside)]
    try:
        took = []
        for _ in range(KILLS):
            took.append(back_after_s(stack))
            time.sleep(PAUSE_S)
    finally:
        for process in busy:
            process.kill()
    each = ", ".join(f"{seconds:.2f}" for seconds in took)
    print(f"{beside} busy processes beside: back after {statistics.median(took):.2f} s (median of {each})")


if __name__ == "__main__":
    main()
