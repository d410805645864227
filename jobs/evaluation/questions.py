"""The questions of one evaluation, on the driver: at most `max_queries` texts and what is relevant to each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.evaluation.comparison import Values
from mmse_model.metrics import NO_ITEM, Judgements
from schemas import EVALUATION

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TRUTHS = ("ordered", "clicked")


@dataclass(frozen=True)
class Questions:
    """The queries that are judged.

    texts: (Q,) normalised; frequency: (Q,) training requests; judgements: of each truth; categories: (Q,) top category of
    most relevant items; item_seen: the relevant items that training saw.
    """

    texts: list[str]
    frequency: NDArray[np.int64]
    judgements: dict[str, Judgements]
    categories: list[str | None]
    item_seen: NDArray[np.int64]


def collect_questions(
    texts: Sequence[str], relevant: DataFrame, frequency: NDArray[np.int64], categories: DataFrame, trained: DataFrame
) -> Questions:
    """Brings to the driver what belongs to `texts`: (query, dense_id, ordered, clicked), (query, category) and (dense_id)."""
    pairs = relevant.toArrow()
    query, item = pairs["query"].to_numpy(), pairs["dense_id"].to_numpy()
    judgements = {}
    for truth in TRUTHS:
        holds = pairs[truth].to_numpy().astype(bool)
        judgements[truth] = Judgements.of(query[holds], item[holds], queries=len(texts))
    by_query = {row["query"]: row["category"] for row in categories.toArrow().to_pylist()}
    return Questions(
        list(texts), frequency, judgements, [by_query.get(n) for n in range(len(texts))],
        np.sort(trained.toArrow()["dense_id"].to_numpy()),
    )


def number_queries(spark: SparkSession, texts: Sequence[str]) -> DataFrame:
    """The chosen queries as a frame (query, query_norm); query is the position in `texts`."""
    return spark.createDataFrame(pa.table({"query": pa.array(range(len(texts)), pa.int64()), "query_norm": list(texts)}))


def placed(found: DataFrame, queries: int, depth: int) -> NDArray[np.int64]:
    """(Q, K) dense ids of a frame (query, dense_id, place), place from 1 to `depth`; -1 where there is none."""
    table = found.toArrow()
    ranked = np.full((queries, depth), NO_ITEM, np.int64)
    ranked[table["query"].to_numpy(), table["place"].to_numpy() - 1] = table["dense_id"].to_numpy()
    return ranked


def value_rows(values: Sequence[Values], texts: Sequence[str], seen: NDArray[np.bool_]) -> pa.Table:
    """The rows of dataset `evaluation`: one for each run, truth, measure and query.

    `texts` (Q,) and `seen` (Q,) are those of all queries; the SHA-256 of a text is published in its place.
    """
    keys = np.array([hashlib.sha256(text.encode()).hexdigest() for text in texts])
    tables = []
    for v in values:
        runs, measures, queries = v.values.shape
        tables.append(pa.table({
            "system": np.repeat([system for system, _ in v.runs], measures * queries),
            "search": np.repeat([search for _, search in v.runs], measures * queries),
            "truth": np.repeat([v.truth], runs * measures * queries),
            "metric": np.tile(np.repeat(v.measures, queries), runs),
            "query_key": np.tile(keys[v.queries], runs * measures),
            "value": v.values.ravel(),
            "relevant": np.tile(v.relevant.astype(np.int32), runs * measures),
            "query_seen": np.tile(seen[v.queries], runs * measures),
        }, schema=EVALUATION.arrow_schema()))
    return pa.concat_tables(tables)
