"""Which two releases meet: naming one on the command line, opening it, and asking it.

    2026-01-08              the release of that day, in the configured warehouse, as the newest entry of its log names it
    2026-01-08@11           as entry 11 named it: a day that was released anew since
    20260108T030703-963c12  the run of publish_release, as `mmse status` shows it
    other/warehouse:...     any of these in another warehouse; `other/warehouse:` is the one in force there
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
from numpy.typing import NDArray

from jobs.experiment.utility import NO_ITEM, item_numbers
from jobs.release_reader import Released, open_release
from jobs.runtime.config import Config
from jobs.runtime.errors import ConfigError, InputError
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import Entry, SnapshotLog
from jobs.runtime.store import run_folder

NAME = re.compile(r"(?:(?P<warehouse>.+):)?(?P<what>\d{4}-\d\d-\d\d|\d{8}T\d{6}-[0-9a-f]{6}|)(?:@(?P<entry>\d+))?")
TEXTS = 1_024
"""Queries that are encoded and searched at a time."""


@dataclass(frozen=True)
class Side:
    """One side of the experiment: an open release and where it comes from. `last_seen` is the last day its model knew."""

    warehouse: str
    day: str
    run: str
    vectors: int
    last_seen: date
    released: Released

    @property
    def key(self) -> tuple[str, str]:
        """Equal for the same release, however it was named."""
        return self.warehouse, self.run

    def retrieve(self, texts: Sequence[str], k: int) -> NDArray[np.int64]:
        """The market's numbers of the k items that this release finds for each text, (T, k), NO_ITEM where there are fewer."""
        blocks = [self.released.retriever.search(texts[n : n + TEXTS], k)[0] for n in range(0, len(texts), TEXTS)]
        dense, place = np.unique(np.concatenate(blocks), return_inverse=True)
        return self._numbers(dense)[place].reshape(len(texts), k)

    def _numbers(self, dense: NDArray[np.int64]) -> NDArray[np.int64]:
        """The market's number of each dense id (ascending); NO_ITEM for -1."""
        files = pads.dataset([str(path) for path in self.released.item_files], format="parquet")
        rows = files.to_table(columns=["dense_id", "object_id"], filter=pads.field("dense_id").isin(dense))
        numbers = np.full(len(dense), NO_ITEM, np.int64)
        if len(rows):
            numbers[np.searchsorted(dense, rows["dense_id"].to_numpy())] = item_numbers(rows["object_id"])
        return numbers


def open_side(config: Config, name: str) -> Side:
    """Opens the release that `name` means (see above; "" is the one in force in the configured warehouse).

    Raises ConfigError where the name has none of the forms, InputError where there is no such release.
    """
    parsed = NAME.fullmatch(name)
    if parsed is None:
        raise ConfigError(f"release {name!r}: expected [WAREHOUSE:][YYYY-MM-DD or run id][@ENTRY]")
    warehouse = Path(parsed["warehouse"] or config.paths.warehouse).absolute()
    log = SnapshotLog(warehouse)
    entry = log.entry(int(parsed["entry"])) if parsed["entry"] else log.head()
    entry, day = find(log, entry, parsed["what"])
    there = config.model_copy(update={"paths": config.paths.model_copy(update={"warehouse": str(warehouse)})})
    released = open_release(there, entry, day)
    day = day or entry.days("release")[-1]
    run = str(entry.run("release", day))
    manifest = Manifest.read(run_folder(warehouse, "release", day, run))
    return Side(str(warehouse), day, run, manifest.rows, last_seen(warehouse, manifest), released)


def find(log: SnapshotLog, entry: Entry, what: str) -> tuple[Entry, str | None]:
    """The entry and day that publish `what`: a day, "" for the newest, or a run, looked for from `entry` backwards."""
    if "T" not in what:
        return entry, what or None
    for number in sorted((n for n in log.numbers() if n <= entry.number), reverse=True):
        older = log.entry(number)
        for day in older.days("release"):
            if older.run("release", day) == what:
                return older, day
    raise InputError(f"release run {what}: no entry of {log.root} up to {entry.number} names it")


def last_seen(warehouse: Path, release: Manifest) -> date:
    """The last day that training or the choice of the epoch saw, by the manifests of the release and of its model."""
    part = release.facts["runs"]["model"]
    model = Manifest.read(run_folder(warehouse, "model", part["dt"], part["run"]))
    trained = date.fromisoformat(model.facts.get("trained", part["dt"]))
    return trained - timedelta(days=model.config["tuples"]["test_days"])
