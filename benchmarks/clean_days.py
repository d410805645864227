"""How quiet the audit is on ordinary days: python -m benchmarks.clean_days --days 20

Simulates a small shop and runs its jobs day by day, as the nights would: raw log and catalogue, labels of the days that are
still open, vocabulary, tuples; nothing is trained. Duplicates, late records, bad rows and bots are in the log at their usual
shares, and nothing else is wrong with it. The days before the counted ones give tuples something to be built from and the
checks a history; the job's verdicts of the counted days are read as people read them. Prints each check that failed with its
days and values and, last, one JSON object. The exit code is 1 where a critical check failed, or 1 % of the checks or more warned.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from jobs.ingest.privacy import ensure_user_key
from jobs.pipeline import load_job, run_span, span
from jobs.runtime.config import Config
from jobs.runtime.errors import MmseError
from jobs.runtime.job import run_job
from jobs.runtime.session import start_session
from jobs.runtime.verdict import JOB_NAME, JobVerdict, job_folder

LAST = date(2026, 1, 31)
JOBS = span("ingest_logs", "build_tuples")
MOST_WARNINGS = 0.01


@dataclass(frozen=True)
class Failure:
    """A check that failed: in the verdict of which night, on which day of which dataset, with which value."""

    night: str
    dataset: str
    day: str
    check: str
    severity: str
    value: float | None
    expected: str


def config_in(folder: Path, days: int, requests: int, items: int) -> Config:
    """A shop of so many days in `folder`."""
    key = folder / "key"
    ensure_user_key(key)
    return Config.model_validate({
        "paths": {name: str(folder / name) for name in ("raw", "warehouse", "reports")},
        "spark": {"driver_memory": "2g", "shuffle_partitions": 2}, "ingest": {"user_key_file": str(key)},
        "market": {"items": items, "requests": days * requests, "days": days}, "item_stream": {"entries": 5_000},
    })


def night(spark: Any, config: Config, day: date) -> list[JobVerdict]:
    """The verdicts of the jobs of a day; what is stopped ends the night."""
    verdicts = []
    for name in JOBS:
        try:
            run_job(load_job(name), config, day, lambda: spark)
        except MmseError as error:
            print(f"{name} {day}: {error}")
            return [*verdicts, verdict_of(config, day, name)]
        verdicts.append(verdict_of(config, day, name))
    return verdicts


def verdict_of(config: Config, day: date, job: str) -> JobVerdict:
    """What the job said of its last run of a day."""
    return JobVerdict.read(job_folder(config.paths.reports, day.isoformat(), job) / JOB_NAME)


def failures(verdicts: Iterable[JobVerdict]) -> list[Failure]:
    """Every check that failed, in the order of the nights."""
    return [
        Failure(v.dt, o.dataset, o.dt, check.name, check.severity, check.value, check.expected)
        for v in verdicts for o in v.outputs for check in o.checks if not check.success
    ]


def report(days: int, verdicts: Sequence[JobVerdict]) -> dict[str, Any]:
    """The figures of the last line; a night that was stopped by something else than a check is a critical failure too."""
    failed = failures(verdicts)
    stopped = sum(v.verdict in ("block", "error") and not any(o.verdict == "block" for o in v.outputs) for v in verdicts)
    checks = sum(len(o.checks) for v in verdicts for o in v.outputs)
    warnings = sum(f.severity == "warning" for f in failed)
    return {
        "days": days, "checks": checks, "critical": sum(f.severity == "critical" for f in failed) + stopped,
        "warnings": warnings, "warning_share": round(warnings / checks, 5) if checks else None,
        "days_with_warnings": len({f.night for f in failed if f.severity == "warning"}),
    }


def table(failed: Iterable[Failure]) -> str:
    """Failures as lines of text, one per check."""
    by_check: dict[str, list[Failure]] = {}
    for failure in failed:
        by_check.setdefault(failure.check, []).append(failure)
    return "\n".join(
        f"{check} (expected {of[0].expected}): "
        + ", ".join(f"{f.day}{'' if f.day == f.night else f' on {f.night}'} {f.value}" for f in of)
        for check, of in sorted(by_check.items())
    )


def passed(found: dict[str, Any]) -> bool:
    """Whether the days were as quiet as clean days have to be."""
    return bool(found["checks"]) and found["critical"] == 0 and found["warning_share"] < MOST_WARNINGS


def main(arguments: list[str] | None = None) -> int:
    """Simulates, runs the nights, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clean_days", description="Warnings on ordinary days.")
    parser.add_argument("--days", type=int, default=20, help="nights whose verdicts count")
    parser.add_argument("--before", type=int, default=7, help="days before them: history, and tuples need three days")
    parser.add_argument("--requests", type=int, default=1_000, help="requests of people a day")
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--folder", type=Path, help="where to work; emptied at the end (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    days, started = chosen.days + chosen.before, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mmse-clean-", dir=chosen.folder) as name:
        config = config_in(Path(name), days, chosen.requests, chosen.items)
        run_span(("simulate_market",), config, LAST)
        spark = start_session(config, "benchmark")
        verdicts: list[JobVerdict] = []
        for n in range(days):
            said = night(spark, config, LAST - timedelta(days=days - 1 - n))
            verdicts += said if n >= chosen.before else []
    found = report(chosen.days, verdicts)
    print(table(failures(verdicts)))
    print(json.dumps({**found, "seconds": round(time.monotonic() - started), **machine()}))
    return 0 if passed(found) else 1


if __name__ == "__main__":
    sys.exit(main())
