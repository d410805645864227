"""The coarse quantizer trained by Spark tasks over files on the shared disk (mmse_model/kmeans.py has the arithmetic).

    draw     a sample by row hash, straight from the Parquet files, and of it the small part that the driver reads
    sort     the sample into about sqrt(lists) cells, which the driver has found in its small part
    cluster  every cell by itself into its share of the lists
    refine   Lloyd's steps over all lists: partial sums by some tasks, added up by others

What a task does depends on dense ids and settings, not on the files of the embeddings or on how many executors there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np

from jobs.index.building import Trained
from jobs.index.plan import BATCH, ShardTask, driver_sample, rows_at_once
from jobs.index.row_files import complete, on_executors, read_rows, write_rows
from jobs.index.sampling import bound_for, sampled
from jobs.runtime.index_section import IndexSettings
from jobs.runtime.logs import log
from mmse_model.ann import one_thread, read_index, train_index, training_digest, write_index
from mmse_model.index_files import ASSIGNER, TRAINED, file_digest
from mmse_model.kmeans import (
    Sums,
    add_sums,
    assign,
    cell_count,
    cheapest_assigner,
    flat_over,
    move_centroids,
    no_sums,
    share_out,
    sums_of,
    train_centroids,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REFINING = 0.06
"""Assignment may be this far off (`index.assign_excess`) while centroids are refined: a mean forgives what the lists of a build
do not, and at 16,384 lists training takes three quarters of what it takes with .02."""


@dataclass(frozen=True)
class Recipe:
    """What the tasks of one training must know: of `rows` vectors `sample` are drawn, for so many `lists`."""

    folder: str
    dimension: int
    rows: int
    sample: int
    lists: int
    seed: int
    excess: float
    passes: int
    two_levels: bool

    def path(self, name: str) -> Path:
        """A file of the training."""
        return Path(self.folder) / name


def recipe_of(settings: IndexSettings, seed: int, rows: int, dimension: int, lists: int, folder: Path) -> Recipe:
    """The training that the settings ask for, with its files in `folder`."""
    return Recipe(
        str(folder), dimension, rows, min(rows, settings.train_per_list * lists), lists, seed, settings.assign_excess,
        settings.refine_passes, lists >= settings.two_level_lists,
    )


@dataclass(frozen=True)
class Piece:
    """Rows [first, first + rows) of a file of the sample."""

    number: int
    source: str
    first: int
    rows: int


@dataclass(frozen=True)
class Group:
    """Neighbouring cells that one task clusters, each into `shares` (cells,) lists from `first_list` on.

    `starts` (pieces, cells + 1): where each cell begins, and the last ends, in each sorted piece.
    """

    number: int
    first_list: int
    shares: np.ndarray
    starts: np.ndarray

    @property
    def lists(self) -> int:
        """Lists of all its cells."""
        return int(self.shares.sum())


def train_quantizer(spark: SparkSession, tasks: Sequence[ShardTask], recipe: Recipe, codec: str, folder: Path) -> Trained:
    """Writes the empty index, and with two levels the assigner, into `folder`; with one the driver holds the whole sample.

    Raises BadTraining that names a bad vector of the sample.
    """
    drawn, assigner = draw_sample(spark, tasks, recipe), None
    if recipe.two_levels:
        sample = read_sample(recipe, len(drawn), "top")
        centroids = train_two_levels(spark, recipe, drawn, sample)
        with one_thread():
            found = cheapest_assigner(centroids, sample, recipe.excess, recipe.seed)
        log("lists assigned", by="comparing with all" if found is None else f"{found.nprobe} of {found.nlist} cells")
        if found is not None:
            write_index(found, folder / ASSIGNER)
            assigner = file_digest(folder / ASSIGNER)
    else:
        sample, centroids = read_sample(recipe, len(drawn), "sample"), None
    index = train_index(sample, recipe.lists, codec, recipe.seed, centroids)
    write_index(index, folder / TRAINED)
    return Trained(file_digest(folder / TRAINED), training_digest(index), assigner)


def draw_sample(spark: SparkSession, tasks: Sequence[ShardTask], recipe: Recipe) -> list[int]:
    """Writes the sample, a file for each task, and the driver's part of it; returns how many rows each task drew.

    Raises BadTraining that names a bad vector.
    """
    return on_executors(spark, tasks, partial(_draw, recipe=recipe))


def read_sample(recipe: Recipe, tasks: int, name: str) -> np.ndarray:
    """float32 (n, D): what the tasks have written under `name`, ascending by dense id."""
    return np.concatenate([read_rows(recipe.path(f"{name}-{n:05d}.f32"), recipe.dimension) for n in range(tasks)])


def train_two_levels(spark: SparkSession, recipe: Recipe, drawn: Sequence[int], top: np.ndarray) -> np.ndarray:
    """Centroids float32 (lists, D) of a sample that `draw_sample` has written; `top` (n, D) is the driver's part."""
    with one_thread():
        cells = train_centroids(top, min(cell_count(recipe.lists), len(top)), recipe.seed)
    write_rows(recipe.path("cells.f32"), [cells])
    pieces = cut(drawn, rows_at_once(recipe.dimension))
    counts, errors = map(np.stack, zip(*on_executors(spark, pieces, partial(_sort, recipe=recipe))))
    shares = share_out(recipe.lists, counts.sum(axis=0), errors.sum(axis=0))
    groups = group_cells(counts, shares, rows_at_once(recipe.dimension))
    on_executors(spark, groups, partial(_cluster, recipe=recipe))
    centroids = np.concatenate([read_rows(recipe.path(f"found-{g.number:05d}.f32"), recipe.dimension) for g in groups])
    for _ in range(recipe.passes):
        centroids = refine(spark, recipe, groups, centroids, top)
    return centroids


def refine(
    spark: SparkSession, recipe: Recipe, groups: Sequence[Group], centroids: np.ndarray, top: np.ndarray
) -> np.ndarray:
    """One Lloyd step over the whole sample, each vector in the list that an assigner finds."""
    with one_thread():
        assigner = cheapest_assigner(centroids, top, max(REFINING, recipe.excess), recipe.seed)
        write_index(flat_over(centroids) if assigner is None else assigner, recipe.path(ASSIGNER))
    del assigner
    write_rows(recipe.path("centroids.f32"), [centroids])
    del centroids
    on_executors(spark, groups, partial(_sum_up, recipe=recipe))
    rows = rows_at_once(recipe.dimension)
    ranges = [(low, min(low + rows, recipe.lists)) for low in range(0, recipe.lists, rows)]
    on_executors(spark, ranges, partial(_move, recipe=recipe, groups=len(groups)))
    return np.concatenate([read_rows(recipe.path(f"moved-{low:09d}.f32"), recipe.dimension) for low, _ in ranges])


def cut(drawn: Sequence[int], most: int) -> list[Piece]:
    """The sample's files in pieces of `most` rows or fewer."""
    spans = [(n, low, min(most, rows - low)) for n, rows in enumerate(drawn) for low in range(0, rows, most)]
    return [Piece(number, f"sample-{n:05d}.f32", low, rows) for number, (n, low, rows) in enumerate(spans)]


def group_cells(counts: np.ndarray, shares: np.ndarray, rows: int) -> list[Group]:
    """Neighbouring cells together, as long as they have no more than `rows` rows; a larger cell is alone.

    `counts` (pieces, cells) are the rows of each cell in each piece.
    """
    starts = np.concatenate([np.zeros((len(counts), 1), np.int64), np.cumsum(counts, axis=1)], axis=1)
    bounds, held = [0], 0
    for cell, more in enumerate(counts.sum(axis=0).tolist()):
        if cell > bounds[-1] and held + more > rows:
            bounds.append(cell)
            held = 0
        held += more
    bounds.append(counts.shape[1])
    before = [0, *accumulate(int(shares[low:high].sum()) for low, high in zip(bounds, bounds[1:]))]
    return [
        Group(n, before[n], shares[low:high], starts[:, low : high + 1]) for n, (low, high) in enumerate(zip(bounds, bounds[1:]))
    ]


# -- tasks -------------------------------------------------------------------------------


def _draw(task: ShardTask, recipe: Recipe) -> int:
    bound, top = bound_for(recipe.sample, recipe.rows), bound_for(driver_sample(recipe.sample, recipe.lists), recipe.rows)
    small, drawn = [], 0

    def vectors() -> Iterator[np.ndarray]:
        nonlocal drawn
        for _, found, hashes in sampled(task, recipe.dimension, bound, recipe.seed, "train index"):
            small.append(found[hashes <= np.uint64(top - 1)])
            drawn += len(found)
            yield found

    write_rows(recipe.path(f"sample-{task.number:05d}.f32"), vectors())
    write_rows(recipe.path(f"top-{task.number:05d}.f32"), small)
    return drawn


def _sort(piece: Piece, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Writes a piece's rows cell by cell; returns how many each has and the sum of their squared distances, both (cells,)."""
    cells = read_rows(recipe.path("cells.f32"), recipe.dimension)
    rows = read_rows(recipe.path(piece.source), recipe.dimension, piece.first, piece.rows)
    nearest = faiss.IndexFlatL2(recipe.dimension)
    nearest.add(cells)
    distances, found = nearest.search(rows, 1)
    mine = found[:, 0]
    write_rows(recipe.path(f"sorted-{piece.number:05d}.f32"), [rows[np.argsort(mine, kind="stable")]])
    return np.bincount(mine, minlength=len(cells)), np.bincount(mine, distances[:, 0], minlength=len(cells))


def _cluster(group: Group, recipe: Recipe) -> None:
    """Writes a group's vectors, cell by cell, and the centroids of its lists."""
    found = []

    def vectors() -> Iterator[np.ndarray]:
        for cell, share in enumerate(group.shares.tolist()):
            rows = np.concatenate([
                read_rows(recipe.path(f"sorted-{n:05d}.f32"), recipe.dimension, int(low), int(high - low))
                for n, (low, high) in enumerate(group.starts[:, cell : cell + 2]) if high > low
            ] or [np.empty((0, recipe.dimension), np.float32)])
            if share:
                found.append(train_centroids(rows, share, recipe.seed))
            yield rows

    write_rows(recipe.path(f"group-{group.number:05d}.f32"), vectors())
    write_rows(recipe.path(f"found-{group.number:05d}.f32"), found)


def _sum_up(group: Group, recipe: Recipe) -> None:
    """Writes the partial sums of a group's vectors."""
    assigner, sums = read_index(recipe.path(ASSIGNER)), no_sums(recipe.dimension)
    rows = int((group.starts[:, -1] - group.starts[:, 0]).sum())
    for low in range(0, rows, BATCH):
        vectors = read_rows(recipe.path(f"group-{group.number:05d}.f32"), recipe.dimension, low, min(BATCH, rows - low))
        sums = add_sums(sums, sums_of(vectors, assign(assigner, vectors)[1]))
    with complete(recipe.path(f"sums-{group.number:05d}.npz")) as handle:
        np.savez(handle, lists=sums.lists, counts=sums.counts, sums=sums.sums)


def _move(bounds: tuple[int, int], recipe: Recipe, groups: int) -> None:
    """Adds up the partial sums of a range of lists and writes its new centroids."""
    low, high = bounds
    total = no_sums(recipe.dimension)
    for number in range(groups):
        with np.load(recipe.path(f"sums-{number:05d}.npz")) as file:
            lists = file["lists"]
            mine = slice(*np.searchsorted(lists, [low, high]))
            total = add_sums(total, Sums(lists[mine], file["counts"][mine], file["sums"][mine]))
    before = read_rows(recipe.path("centroids.f32"), recipe.dimension, low, high - low)
    write_rows(recipe.path(f"moved-{low:09d}.f32"), [move_centroids(before, low, total)])
