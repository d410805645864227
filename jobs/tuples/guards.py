"""What must hold of the tuples, measured on the committed rows; `schemas/tuples.py` blocks what does not hold.

Every rule is a frame of the rows that break it. Their number is the figure that the audit judges; three of them go to
the log by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from jobs.runtime.logs import log
from jobs.tuples.packing import Batches, unpack
from jobs.tuples.splits import TRAIN, VALIDATION
from jobs.tuples.spread import head_query_share, over_cap
from mmse_model.batch import EMPTY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EXAMPLES = 3
STANDING = "query_id string, query_norm string, split string, ts timestamp, own boolean, dense_id bigint"


def guard(
    requests: DataFrame, items: DataFrame, converted: DataFrame | None, gap_minutes: int, masks: Masks, most: int
) -> Callable[[DataFrame], Mapping[str, float]]:
    """A measure of committed tuples.

    Args:
        requests: `query_id, session, held_out`.
        items: `dense_id, valid_from` of the items in tuples, as the catalogue has them.
        converted: `query_norm, dense_id` that led to a click, cart or order in training; None without own negatives.
        gap_minutes: Between training labels and validation requests.
        masks: What the known positives of sampled queries must be.
        most: Training tuples that a query may have.
    """

    def measure(tuples: DataFrame) -> Mapping[str, float]:
        standing = items_in(tuples)
        broken = {
            "train_events_after_cut": events_after_cut(tuples, gap_minutes),
            "sessions_on_both_sides": sessions_on_both_sides(tuples, requests),
            "held_out_in_training": held_out_in_training(tuples, requests),
            "items_from_the_future": items_from_the_future(standing, items),
            "positives_among_own_negatives": None if converted is None else positives_among_own(standing, converted),
            "positives_unmasked": unmasked(tuples, masks),
            "queries_over_cap": over_cap(tuples, most),
        }
        share = {"head_query_share": head_query_share(tuples)}
        return share | {rule: 0.0 if rows is None else float(count(rule, rows)) for rule, rows in broken.items()}

    return measure


@dataclass(frozen=True)
class Masks:
    """Positives by which random and in-batch items are masked: `positives` (query_norm, dense_id) of the training queries, all of
    them, of which one in `every` is looked at, by hash; a tuple keeps at most `most`.
    """

    positives: DataFrame
    every: int
    most: int

    def sampled(self, rows: DataFrame) -> DataFrame:
        """The rows of sampled queries."""
        return rows.where(F.pmod(F.xxhash64("query_norm"), F.lit(self.every)) == 0)


def events_after_cut(tuples: DataFrame, gap_minutes: int) -> DataFrame:
    """Training rows whose label rests on an event at or after the first validation request, less the gap."""
    first = tuples.where(F.col("split") == VALIDATION).agg(F.unix_micros(F.min("ts")).alias("first")).first()["first"]
    train = tuples.where(F.col("split") == TRAIN)
    if first is None:
        return train.limit(0).select("query_id")
    gap = timedelta(minutes=gap_minutes) // timedelta(microseconds=1)
    return train.where(F.unix_micros("last_event_ts") >= first - gap).select("query_id")


def sessions_on_both_sides(tuples: DataFrame, requests: DataFrame) -> DataFrame:
    """Sessions with tuples in more than one split."""
    rows = tuples.select("query_id", "split").join(requests.select("query_id", "session"), "query_id")
    sides = rows.groupBy("session").agg(F.min("split").alias("_a"), F.max("split").alias("_b"))
    return sides.where("_a != _b").select("session")


def held_out_in_training(tuples: DataFrame, requests: DataFrame) -> DataFrame:
    """Training rows of a request that is held out, by the requests and not by what the row says of itself."""
    train = tuples.where(F.col("split") == TRAIN).select("query_id")
    return train.join(requests.where("held_out").select("query_id"), "query_id", "left_semi")


def items_from_the_future(standing: DataFrame, items: DataFrame) -> DataFrame:
    """Items of tuples, own negatives included, that were listed after the search."""
    dated = standing.join(items.select("dense_id", "valid_from"), "dense_id")
    return dated.where(F.col("valid_from") > F.col("ts")).select("query_id", "dense_id")


def positives_among_own(standing: DataFrame, converted: DataFrame) -> DataFrame:
    """Own negatives that the same query led to a click, cart or order of."""
    own = standing.where(F.col("own") & (F.col("split") == TRAIN))
    return own.join(converted, ["query_norm", "dense_id"], "left_semi").select("query_id", "dense_id")


def unmasked(tuples: DataFrame, masks: Masks) -> DataFrame:
    """Training rows of sampled queries that know fewer of the query's positives than there are and than a tuple has room for.

    The others could stand in the item stream, or be a neighbour's positive, and count as negatives.
    """
    positives = masks.sampled(masks.positives).distinct()
    expected = positives.groupBy("query_norm").agg(F.least(F.count("*"), F.lit(masks.most)).alias("_expected"))
    rows = masks.sampled(tuples.where(F.col("split") == TRAIN))
    found = known_in(rows).join(positives, ["query_norm", "dense_id"], "left_semi").groupBy("query_id").count()
    both = rows.select("query_id", "query_norm").join(expected, "query_norm").join(found, "query_id", "left")
    return both.where(F.coalesce("count", F.lit(0)) < F.col("_expected")).select("query_id")


def known_in(tuples: DataFrame) -> DataFrame:
    """`query_id, query_norm, dense_id` of every known positive, as packed."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            row, ids = filled(batch.column("known_positives"))
            heads = batch.select(["query_id", "query_norm"]).take(pa.array(row))
            yield pa.RecordBatch.from_arrays([*heads.columns, pa.array(ids)], [*heads.schema.names, "dense_id"])

    columns = tuples.select("query_id", "query_norm", "known_positives")
    return columns.mapInArrow(run, "query_id string, query_norm string, dense_id bigint")


def items_in(tuples: DataFrame) -> DataFrame:
    """`query_id, query_norm, split, ts, own, dense_id` of every filled slot and every own negative, as packed."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for own, name in ((False, "dense_ids"), (True, "negative_ids")):
                row, ids = filled(batch.column(name))
                heads = batch.select(["query_id", "query_norm", "split", "ts"]).take(pa.array(row))
                columns = [*heads.columns, pa.array(np.full(len(row), own)), pa.array(ids)]
                yield pa.RecordBatch.from_arrays(columns, [*heads.schema.names, "own", "dense_id"])

    return tuples.select("query_id", "query_norm", "split", "ts", "dense_ids", "negative_ids").mapInArrow(run, STANDING)


def filled(packed: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(row, dense id) of every filled slot of a packed column of ids."""
    if not len(packed) or not len(packed[0].as_py()):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    ids = unpack(packed, "<i8", len(packed[0].as_py()) // 8)
    row, slot = np.nonzero(ids != EMPTY)
    return row, ids[row, slot]


def count(rule: str, rows: DataFrame) -> int:
    """Number of rows that break a rule; a few of them go to the log by name."""
    broken = rows.count()
    if broken:
        examples = rows.orderBy(*rows.columns).limit(EXAMPLES).collect()
        log("a tuple may not be used", rule=rule, count=broken, rows=[row.asDict() for row in examples])
    return broken
