"""`make failures`: runs rows of the failure suite again and again and keeps a log of every outcome.

    python -m tests.failures.repeat --row 1 --repeat 10

One JSON object a line: rows, test, outcome, seconds, finished_at, code_version. What has passed with this code is not run
again: after an interruption the same command goes on, and ends with exit code 1 where anything has failed. A turn runs
every test once; the tests of a file share a process, and so do those outside this folder, which need no process of
their own; of a process nothing is in the log before it has ended.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs.runtime.version import code_version
from tests.conftest import REPOSITORY
from tests.failures.rows import ROWS, rows_of

LOG = REPOSITORY / "build" / "failures.jsonl"


def collected(rows: Sequence[int]) -> list[str]:
    """Names of the tests of some rows, or of all rows and of hostile input, one file after another."""
    named = [] if not rows else ["-k", " or ".join(f"row_{row:02d}" for row in rows)]
    elsewhere = dict.fromkeys(test for row in rows or ROWS for test in ROWS.get(row, ()))
    found = [*listed("tests/failures", "-m", "slow", *named), *(listed(*elsewhere) if elsewhere else [])]
    return sorted(dict.fromkeys(found), key=lambda test: (by_process(test), by_file(test)))


def listed(*arguments: str) -> list[str]:
    """What pytest would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=--import-mode=importlib", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "::" in line]


def by_file(test: str) -> str:
    """The file of a test."""
    return test.partition("::")[0]


def by_process(test: str) -> str:
    """Tests with the same answer share a process, and with it a Spark session that is warm after the first of them."""
    return by_file(test) if test.startswith("tests/failures/") else "jobs"


def passes(log: Path, version: str) -> Counter[str]:
    """Test -> how often it has passed with this version of the code."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]  # an interrupted line is no entry
    return Counter(e["test"] for e in entries if e["outcome"] == "passed" and e["code_version"] == version)


def outcomes(tests: list[str]) -> Iterator[dict[str, Any]]:
    """Runs the tests once, those that share a process in one pytest."""
    for _, group in groupby(tests, key=by_process):
        wanted = list(group)
        with TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", *wanted, "-o", "addopts=", "-q", "--import-mode=importlib", f"--junitxml={report}"]
            subprocess.run(command, cwd=REPOSITORY, check=False)
            cases = reported(report)
        yield from (outcome(test, cases.get(test)) for test in wanted)


def reported(report: Path) -> dict[str, ElementTree.Element]:
    """Test -> what pytest's report says of it; nothing where pytest has died before it wrote one."""
    found = ElementTree.parse(report).iterfind(".//testcase") if report.exists() else ()
    return {f"{str(case.get('classname')).replace('.', '/')}.py::{case.get('name')}": case for case in found}


def outcome(test: str, case: ElementTree.Element | None) -> dict[str, Any]:
    """A line of the log, of what pytest reports of a test; where a process has died it reports nothing."""
    if case is None:
        return {"test": test, "outcome": "error", "seconds": 0.0}
    kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
    return {"test": test, "outcome": min(kinds, default="passed"), "seconds": float(case.get("time", 0))}


def append(log: Path, entry: dict[str, Any]) -> None:
    """Adds a line, on a line of its own even where an interruption has cut the last one off."""
    cut = log.exists() and not log.read_bytes().endswith(b"\n") and log.stat().st_size > 0
    with open(log, "a", encoding="utf-8") as handle:
        handle.write(("\n" if cut else "") + json.dumps(entry, sort_keys=True) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Runs what has not passed often enough yet; returns 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", type=int, nargs="+", default=[], help="numbers of rows in docs/RELIABILITY.md (default: all)")
    parser.add_argument("--file", nargs="+", default=[], help="only tests of these files, so that several of this command share a log")
    parser.add_argument("--repeat", type=int, default=1, help="passes that each test must have (default: %(default)s)")
    parser.add_argument("--log", type=Path, default=LOG, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    version, failed = code_version(), 0
    tests = [test for test in collected(arguments.row) if not arguments.file or by_file(test) in arguments.file]
    if not tests:
        parser.error(f"no test of --row {arguments.row} --file {arguments.file}; expected rows of docs/RELIABILITY.md")
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    before = passes(arguments.log, version)
    for turn in range(arguments.repeat):
        for found in outcomes([test for test in tests if before[test] <= turn]):
            entry = {**found, "rows": rows_of(found["test"]), "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                     "code_version": version}
            append(arguments.log, entry)
            failed += found["outcome"] != "passed"
    done = passes(arguments.log, version)
    print(f"{sum(done[t] >= arguments.repeat for t in tests)} of {len(tests)} tests have passed {arguments.repeat} times: {arguments.log}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
