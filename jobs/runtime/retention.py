"""How long what may hold people is kept: `mmse gc` applies it and says what it removed.

    requests, events, quarantine   `retention.people_days` before the newest arrival day they leave the log; their files
                                   go as soon as no kept entry and no release names them
    staging and scratch            `retention.scratch_hours` after the last write
    raw arrival days               `retention.raw_days` after the last write, where they are ours to remove
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.runtime.gc import collect_garbage
from jobs.runtime.job import new_run_id
from jobs.runtime.snapshots import Key, SnapshotLog

if TYPE_CHECKING:
    from jobs.runtime.config import Config

DATED = ("requests", "events", "quarantine")
"""Datasets with keys or ids of people."""
Removed = list[tuple[Path, int]]
"""(folder, bytes)"""


@dataclass(frozen=True)
class Collected:
    """What one `mmse gc` did."""

    retired: tuple[Key, ...]
    runs: Removed
    scratch: Removed
    raw: Removed
    key_days: float | None
    """Age of the current user key in days, where it is due for rotation."""


def collect(config: Config, now: float | None = None) -> Collected:
    """Applies every retention; `now` is a POSIX time in seconds (default: the clock)."""
    moment = time.time() if now is None else now
    warehouse, raw = Path(config.paths.warehouse), Path(config.paths.raw)
    retired = retire_days(SnapshotLog(warehouse), config.retention.people_days)
    scratch = [*warehouse.glob("*/_staging-*"), *warehouse.glob("_log/.*"), *raw.glob("_unfinished-*")]
    limit = None if config.retention.raw_days is None else moment - config.retention.raw_days * 86_400
    return Collected(
        tuple(retired), collect_garbage(warehouse, config.snapshots, moment),
        remove_older(scratch, moment - config.retention.scratch_hours * 3600),
        [] if limit is None else remove_older(raw.glob("dt=*"), limit), key_due(config, moment),
    )


def retire_days(log: SnapshotLog, people_days: int) -> list[Key]:
    """Takes days past their retention out of the log; returns (dataset, dt) of each.

    The clock is the newest arrival day, not today: a shop that stood still loses nothing for it. A run under way
    that reads one of these days is fenced.
    """
    head = log.head()
    days = head.days("requests")
    if not days:
        return []
    oldest = (date.fromisoformat(days[-1]) - timedelta(days=people_days)).isoformat()
    old = sorted(key for key in head.snapshots if key[0] in DATED and key[1] <= oldest)
    if old:
        log.commit(head, "gc", new_run_id(), {}, {}, retired=old)
    return old


def remove_older(folders: Iterable[Path], limit: float) -> Removed:
    """Deletes folders that nothing was written to since `limit`."""
    removed = []
    for folder in sorted(folders):
        sizes, newest = 0, folder.stat().st_mtime
        for path in folder.rglob("*"):
            if path.exists():  # a run under way may have moved it meanwhile
                newest = max(newest, path.stat().st_mtime)
                sizes += path.stat().st_size if path.is_file() else 0
        if newest <= limit:
            removed.append((folder, sizes if folder.is_dir() else folder.stat().st_size))
            if folder.is_dir():
                shutil.rmtree(folder)
            else:  # the draft of a log entry whose job was killed
                folder.unlink()
    return removed


def key_due(config: Config, now: float) -> float | None:
    """Age of the current key's file in days where it is over `ingest.key_rotation_days`; None for a key not made yet."""
    try:
        age = (now - Path(config.ingest.user_key_file).stat().st_mtime) / 86_400
    except OSError:
        return None
    return age if age > config.ingest.key_rotation_days else None


def sentences(config: Config, done: Collected) -> list[str]:
    """What was done, a line for each kind that there was, and the summary."""
    said = []
    if done.retired:
        named = {dataset: [dt for name, dt in done.retired if name == dataset] for dataset, _ in done.retired}
        days = ", ".join(f"{name} {dts[0]} to {dts[-1]}" for name, dts in named.items())
        said.append(f"gc: older than retention.people_days = {config.retention.people_days}, out of the log: {days}")
    if done.key_days is not None:
        said.append(
            f"gc: key {config.ingest.key_id} is {done.key_days:.0f} days old, ingest.key_rotation_days = "
            f"{config.ingest.key_rotation_days}: make a new one and name this one in ingest.retired_keys"
        )
    parts = (("runs", done.runs), ("scratch folders", done.scratch), ("raw days", done.raw))
    counts = ", ".join(f"{len(found)} {what}, {sum(size for _, size in found) / 1e6:.1f} MB" for what, found in parts)
    return [*said, f"gc: removed {counts}"]
