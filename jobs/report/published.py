"""What one entry of the snapshot log publishes, for readers that are not jobs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads
import pyarrow.parquet as pq

from jobs.runtime.config import Config
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import Entry, SnapshotLog
from jobs.runtime.store import run_folder

LEDGERS = ("ledger", "item_ledger")
QUARANTINES = ("quarantine", "item_quarantine")
EXAMPLES = 10_000
"""Refused records looked at for examples, at most: a bad day may refuse the whole log."""


class Published:
    """The published state of a warehouse, read-only."""

    def __init__(self, config: Config, entry: Entry | None = None) -> None:
        self.warehouse = Path(config.paths.warehouse).absolute()
        self.entry = entry or SnapshotLog(config.paths.warehouse).head()

    def manifest(self, dataset: str, dt: str) -> Manifest | None:
        """The manifest of that dataset and day; None where it is not published."""
        run = self.entry.run(dataset, dt)
        return None if run is None else Manifest.read(run_folder(self.warehouse, dataset, dt, run))

    def manifests(self, dt: str) -> list[Manifest]:
        """Everything published for a day, by dataset name."""
        names = sorted(name for name, day in self.entry.snapshots if day == dt)
        return [m for m in (self.manifest(name, dt) for name in names) if m is not None]

    def ledger(self, dt: str) -> Counter[tuple[str, str, str]] | None:
        """Records by (kind, disposition, reason) of an arrival day; None where no ledger is published.

        A ledger holds counts per file, a few rows for each: it is read without an engine.
        """
        found = [m for m in (self.manifest(name, dt) for name in LEDGERS) if m is not None]
        records: Counter[tuple[str, str, str]] = Counter()
        for manifest in found:
            folder = run_folder(self.warehouse, manifest.dataset, dt, manifest.run_id)
            for file in manifest.files:
                table = pq.read_table(folder / file.path, columns=["kind", "disposition", "reason", "records"])
                for row in table.to_pylist():
                    if row["records"]:  # a row of derived records alone counts no raw one
                        records[row["kind"], row["disposition"], row["reason"]] += row["records"]
        return records if found else None

    def refused(self, dt: str) -> list[dict[str, Any]]:
        """Where the first refused records of an arrival day stood and why they were refused; nothing else of them is read."""
        rows: list[dict[str, Any]] = []
        for manifest in (m for m in (self.manifest(name, dt) for name in QUARANTINES) if m is not None and m.files):
            folder = run_folder(self.warehouse, manifest.dataset, dt, manifest.run_id)
            files = pads.dataset([str(folder / file.path) for file in manifest.files], format="parquet")
            columns = ["file", "line", "kind", "reason", "field", "value"]
            rows += files.head(EXAMPLES, columns=columns).to_pylist()
        return rows
