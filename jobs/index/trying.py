"""An index searched at many settings, a Spark task for each shard: what is found, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.index.choosing import Setting
from jobs.index.plan import ShardTask
from jobs.index.verifying import Hits, exact_hits, merge_hits
from mmse_model.ann import list_sizes, live_bitmap, live_selector, map_index, one_thread
from mmse_model.index_files import IndexCard, Shard, dead_ids
from mmse_model.shards import OpenShard

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ALONE = 40
"""Queries that are also searched one by one, for latencies."""
WARM = 8
"""One of so many queries is searched before anything is timed: most pages come in, for a fraction of a setting's cost."""
SEARCHING = 32 << 20
"""Bytes of lists and of hits to compare again, 12 each, that one batch of queries may need."""


@dataclass(frozen=True)
class Tried:
    """Of one shard or several, at each of S settings: the nearest of Q queries, what was scanned and how long it took.

    `scanned` (S,): codes for all queries. `seconds` (S,): processor time of all in one batch. `alone` (S, ALONE): seconds of
    queries one by one.
    """

    hits: tuple[Hits, ...]
    scanned: np.ndarray
    seconds: np.ndarray
    alone: np.ndarray


def try_shard(
    numbered: tuple[int, Shard], folder: str, card: IndexCard, queries: np.ndarray, settings: Sequence[Setting], depth: int
) -> Tried:
    """Searches a shard for `queries` (Q, D), `depth` hits each, at every setting, with one thread.

    Finding the lists is counted for the first shard alone: a searcher of several does it once.
    """
    generation, shard = numbered
    opened, root = OpenShard.of(map_index(Path(folder) / shard.path)), Path(folder)
    dead = dead_ids(card, root, generation, shard.first, shard.end, hashes=False)
    selector = live_selector(live_bitmap(dead, shard.end)) if len(dead) else None
    first, found = shard == next(card.every_shard())[1], []
    search = partial(search_timed, opened, list_sizes(opened.index), selector=selector, depth=depth, first=first)
    with one_thread():
        search(queries[::WARM], max(settings))  # pages come in
        for setting in settings:
            hits, seconds, scanned = search(queries, setting)
            alone = [search(query[None], setting)[1] for query in queries[:ALONE]]
            found.append((hits, scanned, seconds, alone))
    hits, codes, times, alones = zip(*found)
    return Tried(hits, np.array(codes), np.array(times), np.array(alones))


def search_timed(
    opened: OpenShard, sizes: np.ndarray, queries: np.ndarray, setting: Setting, *, selector: Any, depth: int, first: bool
) -> tuple[Hits, float, int]:
    """Hits, processor seconds (with finding the lists where it is the `first` shard), and codes scanned, of lists of `sizes`."""
    found, seconds, scanned = [], 0.0, 0
    size = batch_size(setting, depth)
    for low in range(0, len(queries), size):
        batch, started = queries[low : low + size], time.thread_time()
        coarse, lists = opened.probe(batch, setting.probes)
        probed = time.thread_time()
        found.append(opened.search(batch, depth, lists, coarse, selector=selector, refine=setting.refine))
        seconds += time.thread_time() - (started if first else probed)
        scanned += int(sizes[lists].sum())
    distances, ids = zip(*found)
    return (np.concatenate(distances), np.concatenate(ids)), seconds, scanned


def batch_size(setting: Setting, depth: int) -> int:
    """Queries at once, for SEARCHING bytes."""
    return max(1, SEARCHING // (12 * max(setting.probes, depth * setting.refine)))


def combine_tried(one: Tried, other: Tried) -> Tried:
    """What two sets of shards gave together."""
    hits = tuple(merge_hits(a, b) for a, b in zip(one.hits, other.hits))
    return Tried(hits, one.scanned + other.scanned, one.seconds + other.seconds, one.alone + other.alone)


def try_settings(
    spark: SparkSession, folder: Path, card: IndexCard, queries: np.ndarray, settings: Sequence[Setting], depth: int
) -> Tried:
    """Every shard, combined on executors."""
    shards = list(card.every_shard())
    work = partial(try_shard, folder=str(folder), card=card, queries=queries, settings=settings, depth=depth)
    return _reduced(spark, shards, work, combine_tried)


def exact_nearest(spark: SparkSession, tasks: Sequence[ShardTask], queries: np.ndarray, depth: int) -> Hits:
    """The largest inner products by comparing with every vector, distances -<q, v>."""
    return _reduced(spark, tasks, partial(_exact, queries=queries, depth=depth), merge_hits)


def _exact(task: ShardTask, queries: np.ndarray, depth: int) -> Hits:
    with one_thread():
        return exact_hits(task, queries, depth)


def _reduced(spark: SparkSession, pieces: Sequence[Any], work: Callable[[Any], Any], combine: Callable[[Any, Any], Any]) -> Any:
    found = spark.sparkContext.parallelize(pieces, len(pieces)).map(work)
    return found.treeReduce(combine) if len(pieces) > 1 else found.first()


__all__ = ["Tried", "batch_size", "combine_tried", "exact_nearest", "try_settings", "try_shard"]
