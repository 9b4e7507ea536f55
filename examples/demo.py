"""`make demo`: the digits, then the recommender, on one stack, and lines to paste."""

from __future__ import annotations

import sys

from headrace_client import Client

from examples.digits import run as digits
from examples.digits.report import Report
from examples.recommender import run as recommender
from examples.story import told


def main() -> int:
    """Tell both stories; return the exit code."""
    report = Report()

    def stories(client: Client) -> None:
        pixels = digits.tell(report, client)
        prediction_id = recommender.tell(report, client)
        report.lines(client.address, pixels)
        recommender.lines(report, prediction_id)
        report.end()

    return told(stories)


if __name__ == "__main__":
    sys.exit(main())
