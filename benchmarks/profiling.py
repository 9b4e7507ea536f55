"""`make bench-profile`: where the time of a request goes inside the front door's Envoy, by thread and by line.

  make bench-profile                         the 80/20 row
  make bench-profile BENCH="--row online"    another row of `make bench`

The kernel counts the CPU time of each thread: Envoy's own are one, the data plane's event loop is another. py-spy looks
at the event loop's stack 200 times a second; C code counts for the Python function that called it, and what stands
under no function is the loop itself: uvloop and pyvoy. py-spy needs the right to look into other processes: root, or
CAP_SYS_PTRACE.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from headrace_client import HeadraceError

from benchmarks.checkout import ROOT, BenchmarkError
from benchmarks.hot_path import RESULTS, SEED
from benchmarks.load.connection import WireError
from benchmarks.load.generator import Generator
from benchmarks.load.workload import Workload, choices
from benchmarks.measures.scenarios import HEADRACE, SCENARIOS
from benchmarks.report import document
from benchmarks.systems import starting, subject
from benchmarks.systems.stack import running_stack

SECONDS, RATE_HZ = 10.0, 200
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_FRAME = re.compile(r"^(?P<function>.*) \((?P<file>[^():]+)(?::(?P<line>\d+))?\)$")
_THREAD = re.compile(r"\d+")
# What a thread does outside of every Python function: uvloop, pyvoy, and waiting for the interpreter.
LOOP = "the event loop itself"
_LEAST_US = 1.0


class Share(NamedTuple):
    """What a place in the code takes of all samples, on its own and with all that it calls."""

    place: str
    own: float
    whole: float


def by_thread(stacks: Iterable[str]) -> dict[str, list[str]]:
    """Return folded stacks (`thread (id): name;outer;leaf count`) by the thread's id, without the thread."""
    found: dict[str, list[str]] = {}
    for stack in stacks:
        thread, _, rest = stack.partition(";")
        named = _THREAD.search(thread)
        if named is not None:
            # A thread that is in no Python function has its count behind its name.
            found.setdefault(named[0], []).append(f"{LOOP};{rest}" if rest else f"{LOOP} {thread.rpartition(' ')[2]}")
    return found


def shares(stacks: Iterable[str]) -> list[Share]:
    """Return the share of every function in folded stacks (`outer;inner;leaf count`), the most expensive first."""
    own, whole, total = Counter[str](), Counter[str](), 0
    for stack in stacks:
        frames, _, count = stack.rpartition(" ")
        if not count.isdigit():
            continue
        places = [place(one) for one in frames.split(";")]
        total += int(count)
        own[places[-1]] += int(count)
        for one in set(places):
            whole[one] += int(count)
    return [Share(name, count / total, whole[name] / total) for name, count in own.most_common()]


def place(frame: str) -> str:
    """Return a frame without its line: `file function`, the file from its package on; native code by its library."""
    found = _FRAME.match(frame)
    if found is None:
        return frame
    file = found["file"].replace("\\", "/")
    for root in ("site-packages/", "services/router/", "libs/servicekit/", "lib/python3"):
        file = file.rpartition(root)[2] if root in file else file
    return f"{file} {found['function']}"


def main() -> None:
    options = _options()
    try:
        _profile(options)
    except (BenchmarkError, WireError, HeadraceError, OSError) as error:
        sys.exit(f"bench-profile: {error}")


def _profile(options: argparse.Namespace) -> None:
    scenario = next(one for one in SCENARIOS if one.name == options.row)
    with tempfile.TemporaryDirectory(prefix="headrace-profile-") as name:
        stack, model = running_stack(), subject.make_model(Path(name))
        starting.prepare(stack, model)
        system = starting.headrace(stack, model)
        system.prepare()
        envoy = next(pids[0] for what, pids in system.processes().items() if what.endswith("Envoy"))
        workload = Workload(choices(SEED, known_share=scenario.known_share).tolist())
        with Generator(system.target(), system.calls[scenario.call], workload, scenario.connections) as generator:
            generator.closed(scenario.streams, 2.0)
            # First without py-spy, which costs something itself.
            before = _threads(envoy)
            seen = generator.closed(scenario.streams, options.seconds)
            used = {thread: cpu_s - before.get(thread, 0.0) for thread, cpu_s in _threads(envoy).items()}
            folded = Path(name) / "stacks.txt"
            with _py_spy(envoy, options.seconds, folded) as spy:
                generator.closed(scenario.streams, options.seconds + 1.0)
                _, said = spy.communicate(timeout=60)
                if spy.returncode:
                    raise BenchmarkError(f"py-spy failed, which needs root or CAP_SYS_PTRACE: {said.strip()}")
        stacks = folded.read_text().splitlines()
        options.results.mkdir(parents=True, exist_ok=True)
        (options.results / f"stacks-{scenario.name}.txt").write_text("\n".join(stacks))
    used_us = {thread: cpu_s * 1e6 / max(1, seen.right) for thread, cpu_s in used.items()}
    told = report(scenario.title, seen.in_time / seen.seconds, used_us, by_thread(stacks))
    print(told)
    if options.write_docs:
        document.fill("profile", told)


def report(title: str, per_s: float, used_us: Mapping[str, float], stacks: Mapping[str, Sequence[str]]) -> str:
    """Return two tables: the threads of the process, and the functions of the one that runs our code.

    used_us: CPU per request by thread, `name id`. stacks: folded, by thread id.
    """
    ours = max(stacks, key=lambda thread: sum("headrace_router" in one for one in stacks[thread]))
    loop_us = next((us for thread, us in used_us.items() if thread.split()[-1] == ours), 0.0)
    lines = [
        f"{title}: {per_s:,.0f} requests/s, {sum(used_us.values()):.1f} µs of the front door's Envoy for each.",
        "",
        "| thread | µs per request |",
        "| --- | --- |",
    ]
    for thread, us in sorted(used_us.items(), key=lambda one: -one[1]):
        if us >= _LEAST_US:
            name, number = thread.rsplit(" ", 1)
            lines.append(f"| {'the data plane, in its event loop' if number == ours else name} | {us:.1f} |")
    lines += ["", "| in the event loop | µs itself | with what it calls |", "| --- | --- | --- |"]
    rest_us = 0.0
    for one in shares(stacks[ours]):
        if one.own * loop_us < _LEAST_US:
            rest_us += one.own * loop_us
        else:
            lines.append(f"| `{one.place}` | {one.own * loop_us:.1f} | {one.whole * loop_us:.1f} |")
    return "\n".join([*lines, f"| all else, each below {_LEAST_US} | {rest_us:.1f} | |"])


def _py_spy(pid: int, seconds: float, folded: Path) -> subprocess.Popen[str]:
    binary = Path(sys.executable).with_name("py-spy")
    command = [str(binary), "record", "--pid", str(pid), "--duration", f"{seconds:.0f}", "--rate", str(RATE_HZ)]
    command += ["--nonblocking", "--threads", "--format", "raw", "--output", str(folded)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _threads(pid: int) -> dict[str, float]:
    """Return the CPU seconds of every thread, by its name and number."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, fields = (task / "comm").read_text().strip(), (task / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[f"{name} {task.name}"] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    rows = [one.name for one in SCENARIOS if one.system == HEADRACE]
    parser.add_argument("--row", choices=rows, default="mixed", help="row of `make bench` (default mixed)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"length of each run (default {SECONDS:g})")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the stacks, folded")
    parser.add_argument("--write-docs", action="store_true", help="also put the tables into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
