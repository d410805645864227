"""What the tests of the whole chain share: where a small market lies, and what is published of it."""

from __future__ import annotations

from pathlib import Path

from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder
from tests.small_market import SMALL_MARKET

DAY = "2026-01-08"


def content_hashes(warehouse: Path) -> dict[tuple[str, str], str]:
    """Content hash of every published (dataset, day)."""
    head = SnapshotLog(warehouse).head()
    return {key: Manifest.read(run_folder(warehouse, *key, run)).content_hash for key, run in head.snapshots.items()}


def overrides(folder: Path, warehouse: str) -> list[str]:
    """The small market as `--set` values, with its feed in `folder` and its data in `folder/warehouse`."""
    return [
        *SMALL_MARKET, f"paths.raw={folder / 'raw'}", f"paths.reports={folder / warehouse}-reports",
        f"paths.warehouse={folder / warehouse}", f"ingest.user_key_file={folder / 'key'}",
    ]
