"""Queries of the validation days: what of an evaluation has to be chosen is chosen on them, never on the test days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.evaluation.questions import number_queries
from jobs.evaluation.relevance import Days, conversions, relevant_items, sample_queries
from mmse_model.metrics import Judgements

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext


@dataclass(frozen=True)
class Tuning:
    """Texts of queries that led to an order, and the items that were ordered."""

    texts: list[str]
    judgements: Judgements


def read_tuning(context: JobContext, days: Days, candidates: DataFrame) -> Tuning:
    """At most `evaluate.tuning_queries` queries of the published validation days, by hash; none where nothing is to be chosen."""
    settings, seed = context.config.evaluate, context.config.seed
    published = [d for d in days.validation if context.has("requests", d) and context.has("impressions", d)]
    if settings.lexical_weight is not None or not published:
        return Tuning([], Judgements.of([], [], queries=0))
    requests, impressions = (context.read_days(name, published) for name in ("requests", "impressions"))
    truth = conversions(requests, impressions, candidates).where("ordered").localCheckpoint()
    texts = [row.query_norm for row in sample_queries(truth, seed, settings.tuning_queries).collect()]
    if not texts:
        return Tuning([], Judgements.of([], [], queries=0))
    pairs = relevant_items(truth, number_queries(context.spark, texts), seed, settings.max_relevant).toArrow()
    return Tuning(texts, Judgements.of(pairs["query"].to_numpy(), pairs["dense_id"].to_numpy(), queries=len(texts)))
