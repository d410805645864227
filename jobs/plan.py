"""`mmse plan`: what a scheduler must know before it submits the jobs of a date, as one line of JSON.

    {"delivered": true, "entry": 12, "kind": "train", "reports": "/srv/mmse/reports"}

`delivered`: the day's raw files lie there. `entry`: the newest of the snapshot log, for the jobs' `--entry`. `kind`: `train`
where no model of the last `train.every_days` was trained with these settings, else `delta`. `reports`: where each job's
verdict.json lies.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

from jobs.ingest.deliveries import PRODUCER
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext
from jobs.runtime.logs import say
from jobs.runtime.snapshots import Entry, SnapshotLog

EXAMPLES = """examples:
  mmse plan --config conf/shop.yaml --date 2026-01-09"""
DESCRIPTION = "what a scheduler must know of a date, as JSON: is its log delivered, which entry to read, train day or delta day"


def plan(config: Config, day: date) -> int:
    """Prints the plan of the date."""
    entry = SnapshotLog(config.paths.warehouse).head()
    say(json.dumps({
        "delivered": delivered(Path(config.paths.raw), day.isoformat()), "entry": entry.number,
        "kind": kind(config, day, entry), "reports": str(Path(config.paths.reports).absolute()),
    }, sort_keys=True))
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--date."""
    parser.add_argument("--date", required=True, help="YYYY-MM-DD")


def delivered(raw: Path, day: str) -> bool:
    """Whether the raw files of `day` lie there to the end.

    A producer that lists its files (`_PRODUCER.json`) writes the list last: where any day has one, that of `day` is waited for.
    """
    folder = raw / f"dt={day}"
    if any(raw.glob(f"dt=*/{PRODUCER}")):
        return (folder / PRODUCER).is_file()
    return folder.is_dir() and any(path.is_file() for path in folder.iterdir())


def kind(config: Config, day: date, entry: Entry) -> str:
    """`train` or `delta`, by the rule with which train_model decides."""
    from jobs.train_model import JOB, recent_model

    context = JobContext(job=JOB, config=config, date=day, entry=entry, run_id="", session=_no_session)
    return "train" if recent_model(context) is None else "delta"


def _no_session() -> None:
    raise AssertionError("a plan is made from manifests alone")
