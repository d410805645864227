"""Searching what is released: no Spark, and nothing read but the query tower, the shards and the rows of the hits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from jobs.item_filter import Where, matching_ids
from jobs.publish_release import FORMAT, RELEASE_FILE, RUNS_FILE
from jobs.runtime import store
from jobs.runtime.config import Config
from jobs.runtime.errors import ConfigError, InputError
from jobs.runtime.manifest import Manifest
from jobs.runtime.safe_yaml import shown
from jobs.runtime.snapshots import Entry, SnapshotLog
from mmse_model.filtering import Allowed, RecentlyAllowed
from mmse_model.retriever import Retriever
from mmse_model.text import normalise

SHOWN = ("dense_id", "object_id", "title", "brand", "category_path", "shop", "price")


@dataclass(frozen=True)
class Hit:
    """One result: rank from 1, score (inner product), and what a person wants to see of the item.

    The score is the index's, whose vectors are compressed; `grains`, where asked for, add up to the exact one.
    """

    rank: int
    score: float
    object_id: str
    title: str
    brand: str | None
    price: float | None
    grains: dict[str, float] | None = None


@dataclass(frozen=True)
class Released:
    """An open release: the retriever, the item files of the same day, what release.json says, and the folder of each part.

    Threads may share it. Beside the mapped files it keeps the bitmaps of recent filters.
    """

    retriever: Retriever
    item_files: tuple[Path, ...]
    info: dict[str, Any]
    folders: dict[str, Path]
    recent: RecentlyAllowed = field(default_factory=RecentlyAllowed, repr=False, compare=False)

    def items(self, dense_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Dense id -> SHOWN columns, for those ids alone: other rows are filtered away while reading."""
        if not dense_ids:
            return {}
        wanted = pads.field("dense_id").isin(pa.array(dense_ids, pa.int64()))
        files = pads.dataset([str(path) for path in self.item_files], format="parquet")
        return {row["dense_id"]: row for row in files.to_table(columns=list(SHOWN), filter=wanted).to_pylist()}

    def allowed(self, where: Where) -> Allowed:
        """The items that match. What was asked for lately is kept; anything else reads those columns of the item files."""
        end = max((shard.end for _, shard in self.retriever.card.every_shard()), default=0)
        return self.recent.get(where, lambda: Allowed.of(matching_ids(self.item_files, where), end))

    def search(self, text: str, k: int, *, explain: bool = False, where: Where | None = None) -> list[Hit]:
        """The k best items of one query, best first; fewer where the index holds fewer that match `where`.

        `explain` adds what each grain gives. Raises ConfigError for k below 1 and for a query without a word.
        """
        return self.search_many([text], k, explain=explain, where=where)[0]

    def search_many(
        self, texts: Sequence[str], k: int, *, explain: bool = False, where: Where | None = None
    ) -> list[list[Hit]]:
        """`search` of several queries: they are encoded and searched together, and the items of all are read once."""
        check_queries(texts, k)
        allowed = None if where in (None, Where()) else self.allowed(where)
        vectors = self.retriever.encoder.encode_queries(texts)
        there = self.retriever.card.vectors if allowed is None else allowed.count
        found, scores = self.retriever.search_vectors(vectors, min(k, max(1, there)), allowed)
        items = self.items(sorted({int(i) for i in found.ravel() if i >= 0}))
        answers = []
        for vector, row, row_scores in zip(vectors, found, scores):
            hits = [items[int(i)] for i in row if i >= 0]
            grains = self._explained(vector, hits) if explain else [None] * len(hits)
            answers.append([
                Hit(rank, float(score), item["object_id"], item["title"], item["brand"], item["price"], parts)
                for rank, (score, item, parts) in enumerate(zip(row_scores, hits, grains), 1)
            ])
        return answers

    def _explained(self, vector: Any, items: Sequence[dict[str, Any]]) -> list[dict[str, float] | None]:
        """Grain -> its part of the exact score, for each item; all None where the model fuses before it compares."""
        encoder = self.retriever.encoder
        columns = ([item[name] for item in items] for name in ("title", "brand", "category_path", "shop", "price"))
        parts = encoder.contributions(vector, encoder.encode_items(*columns))
        return [{grain: float(values[n]) for grain, values in parts.items()} or None for n in range(len(items))]


@dataclass(frozen=True)
class ReleaseParts:
    """What a release names, unopened: its day and run, release.json, and the day, run and folder of each part."""

    day: str
    run: str
    info: dict[str, Any]
    runs: dict[str, dict[str, str]]
    folders: dict[str, Path]


def find_release(config: Config, entry: Entry | None = None, dt: str | None = None) -> ReleaseParts:
    """The newest release, or that of day `dt`, as the newest entry of the snapshot log (or `entry`) names it.

    Raises InputError where none is published or its files cannot be read.
    """
    warehouse = Path(config.paths.warehouse).absolute()
    entry = entry or SnapshotLog(warehouse).head()
    days = entry.days("release")
    day = dt or (days[-1] if days else None)
    run = entry.run("release", day) if day else None
    if day is None or run is None:
        raise InputError(f"release dt={day or 'any'}: not published in {warehouse}; published days: {days or 'none'}")
    folder = store.run_folder(warehouse, "release", day, run)
    info, runs = _read(folder / RELEASE_FILE), _read(folder / RUNS_FILE)
    if info.get("format") != FORMAT:
        found = info.get("format")
        raise InputError(f"{folder / RELEASE_FILE}: format = {found!r}; expected {FORMAT}: publish it again")
    folders = {name: store.run_folder(warehouse, name, part["dt"], part["run"]) for name, part in runs.items()}
    return ReleaseParts(day, run, info, runs, folders)


def open_release(config: Config, entry: Entry | None = None, dt: str | None = None) -> Released:
    """Opens the newest release, or that of day `dt`, as the newest entry of the snapshot log (or `entry`) names it.

    Raises InputError where none is published or a part of it is missing, altered or of another build.
    """
    release = find_release(config, entry, dt)
    parts = release.folders
    items = Manifest.read(parts["items"])
    try:
        retriever = Retriever.open(parts["model"], parts["index"])
    except ValueError as error:  # BrokenIndex is one
        raise InputError(str(error)) from None
    return Released(retriever, tuple(parts["items"] / f.path for f in items.files), release.info, parts)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({type(error).__name__})") from None


def check_queries(texts: Sequence[str], k: int) -> None:
    """Raises ConfigError for k below 1 and for a query without a word."""
    if k < 1:
        raise ConfigError(f"k = {k}; expected at least 1")
    for text in texts:
        if not normalise(text):
            raise ConfigError(f"query {shown(text)!r}: nothing is left after normalisation; expected words")


def search_release(
    config: Config, texts: Sequence[str], k: int, *, explain: bool = False, where: Where | None = None
) -> list[list[Hit]]:
    """The k best items of the newest release for each query, best first, of those that match `where`.

    Raises ConfigError for k below 1 and for a query without a word; InputError where nothing is released.
    """
    check_queries(texts, k)  # before shards are read to be refused
    return open_release(config).search_many(texts, k, explain=explain, where=where)
