"""How many of their nearest neighbours items keep from an earlier day: a few thousand vectors by hash, searched exactly.

The driver holds at most SAMPLE vectors of both days and ASKED x SAMPLE scores with their order, however large the catalogue
is: some 32 MiB at 128 dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jobs.index.vectors import likely_rows, unpack_vectors
from jobs.runtime import store
from jobs.runtime.job import JobContext
from jobs.runtime.manifest import Manifest
from schemas import EMBEDDINGS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SAMPLE = 4_096
"""Items with a vector on both days, at most, among which neighbours are looked for."""
ASKED = 256
"""Of them, those whose neighbours are compared: the mean of so many is within .03 of that of all, by two standard errors."""
NEAREST = 10
FEWEST = 100
"""Items of both days below which there is no figure: among fewer, too many are neighbours by chance."""
KEPT = SAME_MODEL, NEW_MODEL = "neighbours_kept_same_model", "neighbours_kept_new_model"


def earlier_day(context: JobContext) -> Manifest | None:
    """The newest published embeddings of a day before the date, where their columns are today's; or None."""
    days = [day for day in context.entry.days("embeddings") if day < context.dt]
    found = Manifest.read(context.folder("embeddings", days[-1])) if days else None
    return found if found and found.schema_hash == EMBEDDINGS.schema_hash() else None


def neighbours_kept(context: JobContext, written: DataFrame, rows: int, dimension: int, model: str) -> dict[str, float]:
    """SAME_MODEL or NEW_MODEL, by which model the earlier day's vectors are of; nothing where no two days can be compared.

    `written` are today's `rows` rows of `embeddings`, D = `dimension`, made by the `model` of that content. The earlier day is
    no input of the run, as are none of the days that the audit compares with: nothing of it is in what is published.
    """
    before = earlier_day(context)
    if before is None:
        return {}
    folder = context.folder("embeddings", before.dt)
    then = store.read_rows(context.spark, EMBEDDINGS, [folder / file.path for file in before.files])
    dimensions = (dimension, int(before.facts["dimension"]))
    vectors = vectors_of_both(written, then, min(rows, before.rows), dimensions, context.config.seed)
    if len(vectors[0]) < FEWEST:
        return {}
    return {SAME_MODEL if before.facts["model"] == model else NEW_MODEL: kept_share(*vectors, ASKED, NEAREST)}


def vectors_of_both(
    now: DataFrame, then: DataFrame, rows: int, dimensions: tuple[int, int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """float32 (n, D) and (n, D'): the vectors in `now` and `then` of the same items, n <= SAMPLE, in the order of a row hash.

    Both frames are rows of `embeddings`, of vectors of the `dimensions` D and D'; the smaller has `rows`. Of the smaller's
    items about SAMPLE are candidates: where days share half of them, n is half of that.
    """
    def candidates(frame: DataFrame, name: str) -> DataFrame:
        return likely_rows(frame, rows, SAMPLE, seed, "neighbours").withColumnRenamed("vector", name)

    key = ["dense_id", "object_id", "hash"]
    both = candidates(now, "now").select(*key, "now").join(candidates(then, "then").select(*key, "then"), key)
    table = both.orderBy("hash", "dense_id").limit(SAMPLE).select("now", "then").toArrow()
    return unpack_vectors(table["now"], dimensions[0]), unpack_vectors(table["then"], dimensions[1])


def kept_share(now: np.ndarray, then: np.ndarray, asked: int, k: int) -> float:
    """Of the k nearest of each of the first `asked` rows, the share that is the same in both: a mean over those rows.

    `now` and `then` are float32 (n, D) and (n, D'), n > k, of the same items row by row.
    """
    before, after = nearest(then, asked, k), nearest(now, asked, k)
    return float((before[:, :, None] == after[:, None, :]).any(axis=2).mean())


def nearest(vectors: np.ndarray, asked: int, k: int) -> np.ndarray:
    """int64 (min(asked, n), k): of each of the first rows of float32 (n, D) the k others with the largest inner product.

    Of equally near ones, those that stand first.
    """
    scores = vectors[:asked] @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
