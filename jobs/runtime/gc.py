"""Removes runs that no kept entry of the snapshot log names."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from jobs.runtime.manifest import Manifest
from jobs.runtime.sections import SnapshotSettings
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder

Run = tuple[str, str, str]
"""(dataset, dt, run id)"""


def kept_runs(log: SnapshotLog, keep_entries: int) -> set[Run]:
    """Every run that one of the newest `keep_entries` entries names, and the parts that their releases serve from."""
    kept: set[Run] = set()
    for number in log.numbers()[-keep_entries:]:
        kept |= {(dataset, dt, run) for (dataset, dt), run in log.entry(number).snapshots.items()}
    return kept | {part for run in kept if run[0] == "release" for part in released_parts(log.root, run)}


def released_parts(warehouse: Path, release: Run) -> set[Run]:
    """The runs a release serves from: it goes on serving after a later run has replaced one of them."""
    dataset, dt, run = release
    named = Manifest.read(run_folder(warehouse, dataset, dt, run)).facts["runs"]
    return {(name, part["dt"], part["run"]) for name, part in named.items()}


def collect_garbage(
    warehouse: str | Path, settings: SnapshotSettings, now: float | None = None
) -> list[tuple[Path, int]]:
    """Deletes unnamed runs older than the grace period.

    The grace period protects readers that still hold an older entry and runs under way.
    `now` is a POSIX time in seconds (default: the clock). Returns (folder, bytes) removed.
    """
    root = Path(warehouse)
    kept = kept_runs(SnapshotLog(root), settings.keep_entries)
    limit = (time.time() if now is None else now) - settings.grace_hours * 3600
    removed = []
    for folder in sorted(root.glob("*/dt=*/run=*")):
        if _identity(folder) in kept or folder.stat().st_mtime > limit:
            continue
        removed.append((folder, sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())))
        shutil.rmtree(folder)
    return removed


def _identity(folder: Path) -> Run:
    return (folder.parents[1].name, folder.parent.name.removeprefix("dt="), folder.name.removeprefix("run="))
