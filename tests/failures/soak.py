"""`make soak`: night after night in one process, with a training every tenth; what a service that never restarts would run out of.

    python -m tests.failures.soak --days 30

A small market is simulated once; then each day is ingested, labelled, trained or carried on, indexed, evaluated, released,
reported and collected. Memory, open files and what no entry names must not grow from the second third of the days to the last.
One line a day; the last line is one JSON object; exit code 1 where something grew or a report is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.machine import Jvm, machine, status_mib
from jobs.ingest.privacy import ensure_user_key
from jobs.pipeline import JOB_NAMES, run_span
from jobs.report.page import build_report
from jobs.runtime.config import Config, load_config
from jobs.runtime.gc import kept_runs
from jobs.runtime.retention import collect
from jobs.runtime.session import start_session
from jobs.runtime.snapshots import SnapshotLog
from tests.conftest import REPOSITORY

FIRST = date(2026, 1, 1)
BEFORE = 8
"""Days that the first release is trained on."""
ALLOWED = 1.1
"""Growth from the middle third of the days to the last third; memory of a process varies by some percent."""
WATCHED = ("python_mib", "jvm_mib", "open_files", "unnamed")


@dataclass(frozen=True)
class Night:
    """What is in use after a day: resident MiB, open files of this process, files, runs that no kept entry names."""

    dt: str
    seconds: float
    python_mib: float
    jvm_mib: float
    open_files: int
    files: int
    unnamed: int
    release: str


def settings(folder: Path, days: int) -> list[str]:
    """A market of so many days, all of it below `folder`; runs that no entry names are collected at once."""
    return [
        "market.items=1000", f"market.requests={700 * days}", f"market.days={days}", "spark.driver_memory=2g",
        "spark.shuffle_partitions=2", "index.lists=16", "train.epochs=1", "train.every_days=10", "item_stream.entries=3000",
        "evaluate.bootstrap=100", "snapshots.keep_entries=12", "snapshots.grace_hours=0", "retention.scratch_hours=0.001",
        "retention.people_days=40", f"paths.raw={folder / 'raw'}", f"paths.reports={folder / 'reports'}",
        f"paths.warehouse={folder / 'warehouse'}", f"ingest.user_key_file={folder / 'key'}",
    ]


def grown(nights: Sequence[Night], allowed: float = ALLOWED) -> list[str]:
    """Sentences for each watched figure whose median of the last third is beyond that of the third before, times `allowed`."""
    third = max(1, len(nights) // 3)
    found = []
    for name in WATCHED:
        middle, last = ([getattr(n, name) for n in part] for part in (nights[-2 * third : -third], nights[-third:]))
        before, after = statistics.median(middle or last), statistics.median(last)
        if after > before * allowed:
            found.append(f"{name}: {before:g} in the middle third of the nights, {after:g} in the last")
    return found


def one_night(config: Config, day: date, jvm: Jvm) -> Night:
    """Runs a day, builds its report and collects; then looks at what is in use."""
    started = time.monotonic()
    done = run_span(JOB_NAMES[1:], config, day)
    build_report(config, day)
    collect(config, time.time() + 60)
    warehouse = Path(config.paths.warehouse)
    runs = {(p.parents[1].name, p.parent.name[3:], p.name[4:]) for p in warehouse.glob("*/dt=*/run=*")}
    unnamed = runs - kept_runs(SnapshotLog(warehouse), config.snapshots.keep_entries)
    return Night(
        day.isoformat(), round(time.monotonic() - started, 1), status_mib(os.getpid(), "VmRSS"), status_mib(jvm.pid, "VmRSS"),
        len(os.listdir("/proc/self/fd")), sum(p.is_file() for p in warehouse.rglob("*")), len(unnamed), done[-1].run_id,
    )


def soak(folder: Path, days: int) -> dict[str, Any]:
    """The nights, what grew, and the days without a page."""
    config = load_config(REPOSITORY / "conf" / "demo.yaml", settings(folder, BEFORE + days - 1))
    ensure_user_key(folder / "key")
    run_span(JOB_NAMES[:1], config, FIRST + timedelta(days=BEFORE + days - 2))
    jvm, nights = Jvm(start_session(config, "soak")), []
    for n in range(days):
        nights.append(one_night(config, FIRST + timedelta(days=BEFORE - 1 + n), jvm))
        print("  ".join(f"{name} {value}" for name, value in asdict(nights[-1]).items()), flush=True)
    pages = [Path(config.paths.reports) / f"dt={night.dt}" / "index.html" for night in nights]
    return {
        "nights": len(nights), "grown": grown(nights), "without_page": [p.parent.name for p in pages if not p.is_file()],
        "first": asdict(nights[0]), "last": asdict(nights[-1]), **machine(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where nothing grew and every day has its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30, help="nights, three at least (default 30)")
    days = parser.parse_args(arguments).days
    if days < 3:
        parser.error(f"--days {days}: expected 3 or more")
    with tempfile.TemporaryDirectory(prefix="mmse-soak-") as folder:
        found = soak(Path(folder), days)
    print(json.dumps(found))
    return 1 if found["grown"] or found["without_page"] else 0


if __name__ == "__main__":
    sys.exit(main())
