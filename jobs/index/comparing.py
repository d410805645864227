"""What changed between two runs of embeddings, range by range of dense ids, from ids and hashes of the inputs alone.

Both runs are of one model, so that an item with the same inputs has the same vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from jobs.index.building import BadVectors, refuse_damaged
from jobs.index.plan import BATCH, RowGroup, id_ranges, within

Hashed = tuple[np.ndarray, np.ndarray]
"""Dense ids int64 (n,), ascending, and the hashes of their inputs, int64 (n,)."""


@dataclass(frozen=True)
class Pair:
    """The row groups of two runs that hold the dense ids in [first, end)."""

    first: int
    end: int
    now: tuple[RowGroup, ...]
    then: tuple[RowGroup, ...]


@dataclass(frozen=True)
class Difference:
    """Dense ids, int64 (n,), ascending: new, with other inputs than before, and no longer there."""

    added: np.ndarray
    changed: np.ndarray
    removed: np.ndarray

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many of each."""
        return len(self.added), len(self.changed), len(self.removed)


@dataclass(frozen=True)
class DeltaTask:
    """What one Spark task adds to an index: the changes of some ranges, ascending."""

    number: int
    pairs: tuple[Pair, ...]

    @property
    def first(self) -> int:
        """The lowest id."""
        return self.pairs[0].first

    @property
    def end(self) -> int:
        """One beyond the highest id."""
        return self.pairs[-1].end


def plan_pairs(now: Sequence[RowGroup], then: Sequence[RowGroup], at_least: int, most: int) -> list[Pair]:
    """Equal ranges over the ids of both runs, each compared by one task."""
    first, end = min(now[0].first, then[0].first), max(now[-1].last, then[-1].last) + 1
    ranges = id_ranges(first, end, at_least, most)
    return [Pair(low, high, within(now, low, high), within(then, low, high)) for low, high in ranges]


def plan_tasks(pairs: Sequence[Pair], rows: Sequence[int], at_least: int, most: int) -> list[DeltaTask]:
    """Neighbouring ranges together, until about `at_least` tasks have an equal share of the rows and none more than `most`.

    `rows` are the vectors that each pair will add; its ranges hold no more than `most` ids, so that one fits a task alone.
    """
    share = math.ceil(sum(rows) / at_least)
    groups: list[list[Pair]] = [[]]
    held = 0
    for pair, more in zip(pairs, rows):
        if groups[-1] and (held >= share or held + more > most):
            groups.append([])
            held = 0
        groups[-1].append(pair)
        held += more
    return [DeltaTask(number, tuple(group)) for number, group in enumerate(groups) if group]


def difference(now: Hashed, then: Hashed) -> Difference:
    """What must be added to, replaced in and taken from `then` to make it `now`."""
    added = np.setdiff1d(now[0], then[0], assume_unique=True)
    removed = np.setdiff1d(then[0], now[0], assume_unique=True)
    kept, at_now, at_then = np.intersect1d(now[0], then[0], assume_unique=True, return_indices=True)
    return Difference(added, kept[now[1][at_now] != then[1][at_then]], removed)


def compare(pair: Pair) -> Difference:
    """Reads 16 bytes a row of both runs."""
    return difference(read_hashed(pair.now, pair.first, pair.end), read_hashed(pair.then, pair.first, pair.end))


def count_changes(pair: Pair) -> tuple[int, int, int] | str:
    """Items added, changed and removed in a range, or the sentence that says why nobody can tell."""
    try:
        refuse_damaged(pair.now)
        return compare(pair).counts
    except (BadVectors, OSError, ValueError) as error:
        return str(error)


def read_hashed(groups: Sequence[RowGroup], first: int, end: int) -> Hashed:
    """Ids and hashes of [first, end). Raises BadVectors where ids do not ascend."""
    ids, inputs = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for group in groups:
        with pq.ParquetFile(group.path) as file:
            for batch in file.iter_batches(BATCH, row_groups=[group.number], columns=["dense_id", "inputs"]):
                ids.append(batch["dense_id"].to_numpy())
                inputs.append(batch["inputs"].to_numpy())
    every, hashes = np.concatenate(ids), np.concatenate(inputs)
    if (np.diff(every) <= 0).any():
        raise BadVectors(f"{groups[0].path}: dense ids do not ascend; run embed_items again")
    low, high = np.searchsorted(every, [first, end])
    return every[low:high], hashes[low:high]
