"""What each system retrieves for the same queries: dense ids (Q, K), best first, K the largest cutoff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from jobs.evaluation.comparison import Run
from jobs.evaluation.exact import search_embeddings
from jobs.evaluation.lexical import LexicalIndex
from jobs.evaluation.questions import placed
from jobs.evaluation.relevance import Days, oracle_items, popular_items
from mmse_model.metrics import NO_ITEM, rank
from mmse_model.retriever import Retriever

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext

LeftOut = dict[str, str]
"""System -> why it could not take part."""


def mmse_runs(context: JobContext, retriever: Retriever, texts: Sequence[str]) -> list[Run]:
    """The model with exact search over every published vector, then with the index as it will be served."""
    settings = context.config.evaluate
    vectors = retriever.encoder.encode_queries(texts)
    exact, _ = search_embeddings(context.spark, vectors, context.files("embeddings"), settings.ks[-1], settings.block_items)
    ids, scores = retriever.search_vectors(vectors, settings.ks[-1])
    return [Run("mmse", "exact", exact), Run("mmse", "ann", rank(scores, ids, settings.ks[-1])[0])]


def bm25_run(context: JobContext, candidates: DataFrame, texts: Sequence[str], left_out: LeftOut) -> list[Run]:
    """BM25 over the configured texts of the items that can be retrieved, on the driver up to `bm25.max_items`."""
    settings = context.config.evaluate.bm25
    items = context.manifest("embeddings").rows
    if items > settings.max_items:
        left_out["bm25"] = f"{items:,} items are more than evaluate.bm25.max_items = {settings.max_items:,}"
        return []
    document = F.concat_ws(" ", *settings.fields).alias("document")
    documents = context.read("items").select("dense_id", document).join(candidates.select("dense_id"), "dense_id")
    table = documents.orderBy("dense_id").toArrow()
    index = LexicalIndex(table["document"].to_pylist(), table["dense_id"].to_numpy(), settings)
    return [Run("bm25", "exact", index.search(texts, context.config.evaluate.ks[-1]))]


def popularity_run(context: JobContext, candidates: DataFrame, days: Days, queries: int) -> list[Run]:
    """The items ordered most before the validation days, for every query the same."""
    depth = context.config.evaluate.ks[-1]
    popular = popular_items(context.read_days("impressions", days.train), candidates, days.cut, depth)
    ranked = np.full(depth, NO_ITEM, np.int64)
    best = [row.dense_id for row in popular.collect()]
    ranked[: len(best)] = best
    return [Run("popularity", "exact", np.tile(ranked, (queries, 1)))]


def oracle_run(
    context: JobContext, requests: DataFrame, candidates: DataFrame, queries: DataFrame, count: int, left_out: LeftOut
) -> list[Run]:
    """What the hidden truth retrieves for the `count` queries, where a simulator has published it."""
    window = context.days_back(context.config.train.window_days)
    days = {name: [d for d in window if context.has(name, d)] for name in ("truth_requests", "truth_utility")}
    missing = [name for name, published in days.items() if not published]
    if missing:
        left_out["oracle"] = f"{' and '.join(missing)} not published, as in every real shop"
        return []
    intents = context.read_days("truth_requests", days["truth_requests"])
    utility = context.read("truth_utility", days["truth_utility"][-1])
    depth = context.config.evaluate.ks[-1]
    found = oracle_items(requests, queries, intents, utility, candidates, depth)
    return [Run("oracle", "exact", placed(found, count, depth))]
