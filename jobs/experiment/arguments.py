"""The command line of `mmse experiment`."""

from __future__ import annotations

import argparse

DESCRIPTION = """SIMULATION of an online experiment: people of the simulated market search as they did on the test days; half of
them get what release A retrieves, half what release B does, ordered by the same ranker, and they look, click and order
by the market's hidden truth. Reports CTR and CVR per session with a fixed-horizon and an always-valid sequential test.
It works only where simulate_market invented the shop (docs/EXPERIMENT.md)."""

EXAMPLES = """a release is named [WAREHOUSE:][DAY or RUN][@ENTRY]; nothing at all is the one in force. Requests and truth
are those of the configured warehouse, whatever the releases' own.

examples:
  mmse experiment --a 2026-01-07 --b 2026-01-08        yesterday's release against today's
  mmse experiment --a 2026-01-08@11 --b 2026-01-08     the day as entry 11 of the snapshot log named it, against now
  mmse experiment --a 20260108T030703-963c12           a run of publish_release (mmse status shows it) against the one in force
  mmse experiment --a build/clicks/warehouse:2026-01-08 --b build/demo/warehouse:2026-01-08
  mmse experiment --aa 1000                            how often do both tests find what is not there?
  mmse experiment --a 2026-01-07 --set experiment.candidates=200 --set experiment.copies=10 --json
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """--a, --b, --date, --aa, --json."""
    command.add_argument("--a", default="", metavar="RELEASE", help="side A, the control (default: the release in force)")
    command.add_argument("--b", default="", metavar="RELEASE", help="side B, the treatment (default: the release in force)")
    command.add_argument(
        "--date", help="replay the `tuples.test_days` that end at this day (default: the later day of both releases)"
    )
    command.add_argument(
        "--aa", type=repeats, default=0, metavar="REPEATS", help="then A against itself so often: false positives of both tests"
    )
    command.add_argument("--json", action="store_true", help="print the report as JSON")


def repeats(text: str) -> int:
    """A number of repeats; argparse reports what is none."""
    count = int(text)
    if count < 0:
        raise ValueError
    return count
