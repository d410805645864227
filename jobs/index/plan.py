"""What a build will do, decided before any work: lists, shards, which row groups each reads, memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from jobs.runtime.errors import ConfigError, InputError
from jobs.runtime.index_section import IndexSettings
from jobs.runtime.manifest import FileFacts
from mmse_model.ann import MIN_PER_LIST
from mmse_model.codecs import code_bytes
from mmse_model.kmeans import cell_count

BATCH = 16_384
"""Vectors assigned, encoded and compared at a time."""


@dataclass(frozen=True)
class RowGroup:
    """One row group of an embeddings file of that digest, and the dense ids it spans, both ends included."""

    path: str
    sha256: str
    number: int
    first: int
    last: int


@dataclass(frozen=True)
class ShardTask:
    """The vectors of the dense ids in [first, end), and the row groups, in id order, that hold them."""

    number: int
    first: int
    end: int
    row_groups: tuple[RowGroup, ...]

    @property
    def file_name(self) -> str:
        """Name of the shard within the index folder."""
        return f"shard-{self.number:05d}.faiss"


@dataclass(frozen=True)
class Memory:
    """Estimated MiB beyond an interpreter with its libraries (about 150 MiB)."""

    driver: float
    task: float


def fit_lists(wanted: int, rows: int) -> int:
    """As many lists as wanted, but none with fewer than 39 vectors on average: FAISS would be under-trained."""
    return max(1, min(wanted, rows // MIN_PER_LIST))


def read_row_groups(folder: Path, files: Sequence[FileFacts]) -> list[RowGroup]:
    """Every row group of a published run that is not empty, in id order, from the Parquet footers.

    Raises InputError where a footer cannot be read or two row groups overlap.
    """
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda f: _row_groups(folder / f.path, f.sha256), files)
        groups = [group for groups_of_file in found for group in groups_of_file]
    groups.sort(key=lambda group: group.first)
    for before, after in zip(groups, groups[1:]):
        if after.first <= before.last:
            raise InputError(
                f"{after.path}: dense ids from {after.first} overlap those of {before.path} up to {before.last}; "
                "expected files in dense-id order: run embed_items again"
            )
    return groups


def _row_groups(path: Path, sha256: str) -> list[RowGroup]:
    try:
        footer = pq.read_metadata(path)
        column = footer.schema.to_arrow_schema().get_field_index("dense_id")
        statistics = [footer.row_group(n).column(column).statistics for n in range(footer.num_row_groups)]
        return [
            RowGroup(str(path), sha256, n, int(s.min), int(s.max)) for n, s in enumerate(statistics) if s.num_values
        ]
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no dense_id statistics in its footer ({reason})") from None


def plan_shards(groups: Sequence[RowGroup], at_least: int, rows_per_shard: int) -> list[ShardTask]:
    """Equal ranges of dense ids: a pure function of the ids and the settings, not of the files they lie in."""
    ranges = id_ranges(groups[0].first, groups[-1].last + 1, at_least, rows_per_shard)
    return [ShardTask(n, low, high, within(groups, low, high)) for n, (low, high) in enumerate(ranges)]


def id_ranges(first: int, end: int, at_least: int, most: int) -> list[tuple[int, int]]:
    """[first, end) in equal ranges: at least so many, none of more than `most` ids, none empty."""
    ranges = min(max(at_least, math.ceil((end - first) / most)), end - first)
    bounds = [first + (end - first) * n // ranges for n in range(ranges + 1)]
    return list(zip(bounds, bounds[1:]))


def within(groups: Iterable[RowGroup], first: int, end: int) -> tuple[RowGroup, ...]:
    """The row groups that reach into [first, end)."""
    return tuple(group for group in groups if group.first < end and group.last >= first)


def rows_at_once(dimension: int) -> int:
    """Vectors that one task of the training holds: 32 MiB, and 1,024 at least."""
    return max(1_024, (32 << 20) // (4 * dimension))


def driver_sample(sample: int, lists: int) -> int:
    """Vectors of the sample on which a two-level training finds its cells and trains the codec, in the driver: 256 a cell."""
    return min(sample, 256 * cell_count(lists))


def estimate_memory(
    tasks: Iterable[ShardTask], settings: IndexSettings, lists: int, dimension: int, rows: int, codec: str | None = None
) -> Memory:
    """Bytes of a sample and its copies in the driver; of centroids, lists and batches in one task.

    FAISS grows inverted lists by doubling, hence up to two bytes for each one stored. With two levels the driver has three
    copies of the centroids (those before a step, those after it, the assigner's), a task of the build two (the index's and the
    assigner's), and one of the training its rows, the same sorted or as k-means has them, and sums in float64.
    """
    vector, two_levels = 4 * dimension, lists >= settings.two_level_lists
    sample = min(rows, settings.train_per_list * lists)
    widest = min(rows, max(task.end - task.first for task in tasks))
    read = driver_sample(sample, lists) if two_levels else sample
    driver = 3 * read * vector + (3 if two_levels else 2) * lists * vector + settings.verify_queries * vector
    task = 2 * lists * vector + 2 * widest * (code_bytes(codec or settings.codec, dimension) + 8) + 4 * BATCH * vector
    training = lists * vector + 4 * min(sample, rows_at_once(dimension)) * vector if two_levels else 0
    return Memory(driver / 2**20, max(task, training) / 2**20)


def refuse_too_large(memory: Memory, limit: int) -> None:
    """Raises ConfigError where the driver or one task would need more than `limit` MiB."""
    if memory.driver > limit:
        raise ConfigError(
            f"index.memory_mib = {limit}: training would need {memory.driver:.0f} MiB in the driver; "
            "expected fewer index.lists or a smaller index.train_per_list"
        )
    if memory.task > limit:
        raise ConfigError(
            f"index.memory_mib = {limit}: a task would need {memory.task:.0f} MiB; "
            "expected a smaller index.rows_per_shard"
        )
