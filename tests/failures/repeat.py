"""`make failures`: runs rows of the failure suite again and again and keeps a log of every outcome.

    python -m tests.failures.repeat --row 1 --repeat 10

One JSON object a line: row, test, outcome, seconds, finished_at, code_version. What has passed with this code is not run
again: after an interruption the same command goes on, and ends with exit code 1 where anything has failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs.runtime.version import code_version
from tests.conftest import REPOSITORY

LOG = REPOSITORY / "build" / "failures.jsonl"


def collected(row: int | None) -> list[str]:
    """Names of the slow tests of a row, or of all of tests/failures."""
    command = [sys.executable, "-m", "pytest", "tests/failures", "-m", "slow", "--collect-only", "-q", *chosen(row)]
    done = subprocess.run([*command, "-o", "addopts=--import-mode=importlib"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "::" in line]


def chosen(row: int | None) -> list[str]:
    """pytest's choice of a row; its tests are named after it."""
    return [] if row is None else ["-k", f"row_{row:02d}"]


def passes(log: Path, version: str) -> Counter[str]:
    """Test -> how often it has passed with this version of the code."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]  # an interrupted line is no entry
    return Counter(e["test"] for e in entries if e["outcome"] == "passed" and e["code_version"] == version)


def outcomes(tests: list[str]) -> Iterator[dict[str, Any]]:
    """Runs the tests once, each in a pytest of its own."""
    for test in tests:
        with TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", test, "-o", "addopts=", "-q", "--import-mode=importlib", f"--junitxml={report}"]
            subprocess.run(command, cwd=REPOSITORY, check=False)
            case = ElementTree.parse(report).find(".//testcase")
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        yield {"test": test, "outcome": min(kinds, default="passed"), "seconds": float(case.get("time"))}


def append(log: Path, entry: dict[str, Any]) -> None:
    """Adds a line, on a line of its own even where an interruption has cut the last one off."""
    cut = log.exists() and not log.read_bytes().endswith(b"\n") and log.stat().st_size > 0
    with open(log, "a", encoding="utf-8") as handle:
        handle.write(("\n" if cut else "") + json.dumps(entry, sort_keys=True) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Runs what has not passed often enough yet; returns 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", type=int, help="number of a row in docs/RELIABILITY.md (default: all)")
    parser.add_argument("--repeat", type=int, default=1, help="passes that each test must have (default: %(default)s)")
    parser.add_argument("--log", type=Path, default=LOG, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    tests, version, failed = collected(arguments.row), code_version(), 0
    if not tests:
        parser.error(f"--row {arguments.row}: no test in tests/failures is named after it; see docs/RELIABILITY.md")
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    before = passes(arguments.log, version)
    for turn in range(arguments.repeat):
        for found in outcomes([test for test in tests if before[test] <= turn]):
            entry = {**found, "row": arguments.row, "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                     "code_version": version}
            append(arguments.log, entry)
            failed += found["outcome"] != "passed"
    done = passes(arguments.log, version)
    print(f"{sum(done[t] >= arguments.repeat for t in tests)} of {len(tests)} tests have passed {arguments.repeat} times: {arguments.log}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
