"""Figures of embeddings that Spark SQL cannot compute, measured on the committed files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from jobs.index.vectors import hash_sample, unpack_vectors

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NORM_TOLERANCE = 1e-3
SAMPLE = 5_000


def measure_embeddings(embeddings: DataFrame, eligible: DataFrame, dimension: int, seed: int) -> dict[str, float]:
    """Every metric that the checks of EMBEDDINGS name beside the row count.

    `eligible` holds the dense_id and object_id of every item that must have a vector, and `texts`, equal where the tower
    reads the same.
    """
    figures = tally(embeddings, dimension)
    rows = int(figures.pop("vectors"))
    _, sample = hash_sample(embeddings, rows, SAMPLE, dimension, seed, "measure")
    equal = {"equal_vectors_share": equal_share(embeddings, eligible)}
    return {**figures, **coverage(embeddings, eligible), **equal, **spread(sample)}


def tally(embeddings: DataFrame, dimension: int) -> dict[str, float]:
    """Vectors, those that are not finite, and finite ones whose norm is outside 1 +- 1e-3."""
    names = ("vectors", "not_finite", "norm_off_one")
    schema = ", ".join(f"{name} bigint" for name in names)
    counted = embeddings.select("vector").mapInArrow(partial(_tally_batches, dimension=dimension), schema)
    row = counted.selectExpr(*(f"coalesce(sum({name}), 0) as {name}" for name in names)).first()
    return {name: float(row[name]) for name in names}


def _tally_batches(batches: Iterator[pa.RecordBatch], dimension: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        vectors = unpack_vectors(batch.column(0), dimension)
        finite, off = faulty_rows(vectors)
        counts = {"vectors": [len(vectors)], "not_finite": [int((~finite).sum())], "norm_off_one": [int(off.sum())]}
        yield pa.RecordBatch.from_pydict(counts)


def faulty_rows(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of float32 (N, D): which rows are finite, and which finite rows have a norm off one; both bool (N,)."""
    squares = np.einsum("nd,nd->n", vectors, vectors)
    if np.isfinite(squares).all():  # then every value is: one pass for the many files in which nothing is wrong
        return np.ones(len(vectors), dtype=bool), np.abs(np.sqrt(squares) - 1) > NORM_TOLERANCE
    finite = np.isfinite(vectors).all(axis=1)
    norms = np.linalg.norm(np.where(finite[:, None], vectors, 0), axis=1)
    return finite, finite & (np.abs(norms - 1) > NORM_TOLERANCE)


def coverage(embeddings: DataFrame, eligible: DataFrame) -> dict[str, float]:
    """Eligible items without a vector, and vectors without an eligible item (id and object must both agree)."""
    from pyspark.sql import functions as F

    key = ["dense_id", "object_id"]
    left = eligible.select(*key, F.lit(True).alias("wanted"))
    both = left.join(embeddings.select(*key, F.lit(True).alias("there")), key, "full_outer")
    row = both.agg(
        F.count_if(F.col("there").isNull()).alias("missing_items"),
        F.count_if(F.col("wanted").isNull()).alias("unknown_items"),
    ).first()
    return {name: float(value) for name, value in row.asDict().items()}


def equal_share(embeddings: DataFrame, eligible: DataFrame) -> float:
    """1 - different vectors / different `texts`, 0 at least: items told in the same words have one vector, and are no fault."""
    from pyspark.sql import functions as F

    vectors = embeddings.select(F.xxhash64("vector")).distinct().count()
    texts = eligible.select("texts").distinct().count()
    return max(0.0, 1 - vectors / texts) if texts else 0.0


def spread(sample: np.ndarray) -> dict[str, float]:
    """How far a sample of unit vectors, float32 (n, D), is from pointing one way.

    The effective rank is exp(entropy of the normalised singular values) (Roy and Vetterli, 2007).
    Rows that are not finite are counted elsewhere and left out here.
    """
    rows = sample[np.isfinite(sample).all(axis=1)].astype(np.float64)
    if len(rows) < 2:
        return {}
    others = len(rows) * (len(rows) - 1)
    mean_cosine = (np.sum(rows.sum(axis=0) ** 2) - np.sum(rows**2)) / others
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(rows.T @ rows), 0, None))
    shares = singular[singular > 0] / singular.sum()
    return {
        "mean_pairwise_cosine": float(mean_cosine),
        "effective_rank": float(np.exp(-np.sum(shares * np.log(shares)))),
    }
