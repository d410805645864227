"""From which run vectors may be carried over, how many were, and whether the tower still gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jobs.index.vectors import hash_sample, unpack_vectors
from jobs.runtime.job import JobContext
from jobs.runtime.logs import log
from jobs.runtime.manifest import Manifest
from schemas import EMBEDDINGS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHECKED = 1_000
"""Vectors of a run with carried-over ones that go through the tower again, by hash."""
TOLERANCE = 1e-4
"""Of a component: another processor rounds otherwise by 1e-5, another text or model is further off by far."""
COUNTED = ("embedded", "carried_over", "removed")


def newest_of_model(context: JobContext, model: str, block: int) -> Manifest | None:
    """The newest embeddings up to the date, where they are of the model with that content and of the same calls; or None."""
    days = [day for day in context.entry.days("embeddings") if day <= context.dt]
    if not days:
        return None
    found = Manifest.read(context.folder("embeddings", days[-1]))
    same = (found.facts.get("model"), found.facts.get("block")) == (model, block)
    if not same or found.schema_hash != EMBEDDINGS.schema_hash():
        log("nothing carried over", before=days[-1], model=found.facts.get("model"), block=found.facts.get("block"))
        return None
    return context.manifest("embeddings", days[-1])


def changes(written: DataFrame, before: DataFrame | None) -> dict[str, float]:
    """COUNTED: items that went through the tower, that kept their vector, and vectors of `before` without an item now.

    Both frames are rows of `embeddings`; an item keeps its vector where its inputs are the same.
    """
    from pyspark.sql import functions as F

    if before is None:
        return {"embedded": float(written.count()), "carried_over": 0.0, "removed": 0.0}
    now, then = written.select("dense_id", "inputs"), before.select("dense_id", F.col("inputs").alias("then"))
    joined = now.join(then, "dense_id", "full_outer")
    row = joined.agg(
        F.count_if(F.col("inputs").isNotNull() & ~F.col("inputs").eqNullSafe(F.col("then"))).alias("embedded"),
        F.count_if(F.col("inputs") == F.col("then")).alias("carried_over"),
        F.count_if(F.col("inputs").isNull()).alias("removed"),
    ).first()
    return {name: float(row[name]) for name in COUNTED}


def off_the_tower(
    written: DataFrame, again: Callable[[Sequence[int]], DataFrame], dimension: int, seed: int
) -> int:
    """How many of CHECKED vectors of `written`, drawn by hash, are more than TOLERANCE from what `again` gives for their ids.

    `again` gives rows of `embeddings`, made by the tower, for the dense ids it is asked for.
    """
    ids, vectors = hash_sample(written, written.count(), CHECKED, dimension, seed, "carried over")
    table = again(ids.tolist()).select("dense_id", "vector").toArrow()
    fresh = unpack_vectors(table["vector"], dimension)[np.argsort(table["dense_id"].to_numpy())]
    return int((np.abs(fresh - vectors[np.argsort(ids)]) > TOLERANCE).any(axis=1).sum())
