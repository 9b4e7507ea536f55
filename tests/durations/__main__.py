"""Print where the seconds of the last test run went: `python -m tests.durations [FILE.xml …]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.durations.report import read, report
from tests.stages import RESULTS


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.durations", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=f"JUnit files; default {RESULTS}/*.xml")
    files = parser.parse_args().files or sorted(RESULTS.glob("*.xml"))
    if not files:
        parser.error(f"no JUnit file in {RESULTS}: run `make test` first")
    sys.stdout.write(report([case for file in files for case in read(file)]))
    return 0


sys.exit(main())
