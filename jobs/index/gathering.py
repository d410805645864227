"""Shards made out of shards: codes are copied list by list, vectors are never read again.

Two ways ask for it. Deltas are merged into shards once there are too many. And with `index.layout: lists` a build writes a shard
for each range of lists, out of shards of items that its tasks have filled: codes move through the files, as a shuffle would move
them, and no task holds more than its own lists.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.index.building import describe_shard, refuse_other_training
from jobs.index.delta_shards import Grown
from jobs.index.plan import ShardTask
from jobs.runtime.index_section import IndexSettings
from mmse_model.ann import add_entries, among, list_entries, list_sizes, map_index, read_index, write_index
from mmse_model.codecs import inverted, refinement
from mmse_model.index_files import TRAINED, IndexCard, Shard, dead_ids, shard_fault
from mmse_model.shards import OpenShard

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Slice:
    """What one shard is to hold: of the inverted lists [low, high) what has a dense id in [first, end)."""

    number: int
    first: int
    end: int
    low: int
    high: int

    @property
    def file_name(self) -> str:
        """Name of the shard within the index folder."""
        return f"shard-{self.number:05d}.faiss"


@dataclass(frozen=True)
class Part:
    """A shard out of which live vectors are taken, and the ascending ids that are dead in it."""

    shard: OpenShard
    dead: np.ndarray


def item_slices(tasks: Sequence[ShardTask], lists: int) -> list[Slice]:
    """All lists of a range of items each."""
    return [Slice(task.number, task.first, task.end, 0, lists) for task in tasks]


def list_slices(sizes: np.ndarray, first: int, end: int, shards: int) -> list[Slice]:
    """Neighbouring lists together in so many ranges, or fewer, of about as many vectors each; `sizes` int64 (lists,).

    A range ends where its share is reached: it is larger than that by less than its last list.
    """
    reached = np.cumsum(sizes)
    goals = reached[-1] * np.arange(1, shards) / shards
    bounds = np.unique(np.concatenate([[0], np.searchsorted(reached, goals) + 1, [len(sizes)]]).clip(0, len(sizes)))
    return [Slice(number, first, end, int(low), int(high)) for number, (low, high) in enumerate(zip(bounds, bounds[1:]))]


def plan_slices(
    spark: SparkSession, settings: IndexSettings, card: IndexCard, source: Path, tasks: Sequence[ShardTask]
) -> list[Slice]:
    """The shards that the settings ask for: ranges of items as planned, or ranges of lists by how many live vectors each has."""
    if settings.layout == "items":
        return item_slices(tasks, card.lists)
    shards = list(card.every_shard())
    count = partial(_sizes, source=str(source), card=card)
    sizes = spark.sparkContext.parallelize(shards, len(shards)).map(count).reduce(np.add)
    wanted = max(settings.shards, math.ceil(int(sizes.sum()) / settings.rows_per_shard))
    return list_slices(sizes, tasks[0].first, tasks[-1].end, wanted)


def _sizes(numbered: tuple[int, Shard], source: str, card: IndexCard) -> np.ndarray:
    generation, shard = numbered
    dead = dead_ids(card, Path(source), generation, shard.first, shard.end)
    return list_sizes(map_index(Path(source) / shard.path), dead)


def gather_all(spark: SparkSession, slices: Sequence[Slice], source: Path, folder: Path, card: IndexCard) -> list[Grown]:
    """One Spark task for each shard of `folder`, out of those that `card` names in `source`."""
    work = partial(gather, source=str(source), folder=str(folder), card=card)
    return spark.sparkContext.parallelize(slices, len(slices)).map(work).collect()


def gather(wanted: Slice, source: str, folder: str, card: IndexCard) -> Grown:
    """The live vectors of a slice, out of every generation in `source`, as one shard of `folder`.

    It is what a build with this quantizer would write: codes are copied, list by list, in the order of their ids.
    """
    root, path = Path(source), Path(folder) / wanted.file_name
    try:
        refuse_other_training(root, card.trained_sha256, card.assigner_sha256)
        parts = []
        for generation, shard in card.every_shard():
            if shard.first < wanted.end and shard.end > wanted.first:
                if fault := shard_fault(root, shard):
                    raise ValueError(fault)
                dead = dead_ids(card, root, generation, wanted.first, wanted.end)
                parts.append(Part(OpenShard.of(map_index(root / shard.path)), dead))
        index = read_index(root / TRAINED)
        ids = _fill(index, wanted, parts)
        write_index(index, path)
    except (ValueError, OSError, RuntimeError) as error:
        return Grown(fault=str(error))
    return Grown(describe_shard(path, wanted.first, wanted.end, ids))


def _fill(index: Any, wanted: Slice, parts: list[Part]) -> np.ndarray:
    """Fills `index`, list by list, with what lives in `parts`; returns the ids in ascending order."""
    ivf = inverted(index)
    found = [_fill_list(ivf, number, wanted, parts) for number in range(wanted.low, wanted.high)]
    ids, origins = (np.concatenate(columns) for columns in zip(*found))
    order = np.argsort(ids)
    ids, origins, exact = ids[order], origins[order], refinement(index)
    if exact is not None and len(ids):
        codes = np.empty((len(ids), exact.code_size), dtype=np.uint8)
        for number, part in enumerate(parts):
            codes[origins == number] = part.shard.exact_codes(ids[origins == number])
        exact.add_sa_codes(codes)
    index.ntotal = ivf.ntotal
    return ids


def _fill_list(ivf: Any, number: int, wanted: Slice, parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Appends one list's live entries; returns their ids and of which part each is."""
    found = []
    for origin, part in enumerate(parts):
        ids, codes = list_entries(part.shard.ivf, number)
        live = (ids >= wanted.first) & (ids < wanted.end) & ~among(ids, part.dead)
        found.append((ids[live], codes[live], np.full(int(live.sum()), origin)))
    ids, codes, origins = (np.concatenate(columns) for columns in zip(*found))
    order = np.argsort(ids, kind="stable")
    add_entries(ivf, number, ids[order], codes[order])
    return ids, origins


def with_shards(card: IndexCard, gathered: Sequence[Grown]) -> IndexCard:
    """The card of an index that is these shards and nothing else."""
    return replace(card, shards=tuple(one.shard for one in gathered if one.shard), deltas=())


__all__ = ["Slice", "gather", "gather_all", "item_slices", "list_slices", "plan_slices", "with_shards"]
