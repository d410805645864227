"""Builds the vocabulary: the tokens of each grain that get a row of their own in the embedding table.

Tokens are counted in the titles and attributes of the whole catalogue and in the queries of the training days;
queries from the cut on are not looked at, so that the vocabulary cannot know the days a model is judged on.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.ingest.anonymity import readable_queries
from jobs.labels.requests import merge_requests
from jobs.runtime.job import Job
from jobs.runtime.main import main
from jobs.tuples.splits import Window, within
from jobs.tuples.vocabulary import count_tokens, rank_tokens
from schemas.vocabulary import GRAINS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext


def run(context: JobContext) -> None:
    """Counts, ranks and writes."""
    config, window = context.config, Window.of(context.config, context.date)
    days = context.days_back(config.train.window_days)
    requests = merge_requests(context.read_days("requests", days))
    queries = training_queries(requests, window, config.vocabulary.query_weight)
    counts = count_tokens(context.read("items"), queries, config.grains)
    facts: dict[str, Any] = {"queries_before": window.cut.isoformat(), "days": [d for d in days if context.has("requests", d)]}
    facts["queries"] = readable_queries(context.read_days("requests", days), config.privacy.k, config.privacy.shown_queries)
    ranked = rank_tokens(counts, config.grains).coalesce(1).sortWithinPartitions("grain", "rank")
    manifest = context.write("vocabulary", ranked, facts=facts)
    context.notes.update({f"{grain}s": int(manifest.metrics[f"{grain}s"]) for grain in GRAINS})


def training_queries(requests: DataFrame, window: Window, query_weight: int) -> DataFrame:
    """`text, weight`: each normalised query of the training days and how much it counts beside a title."""
    asked = requests.where(within(F.col("ts"), window.start, window.cut)).groupBy(F.col("query_norm").alias("text"))
    return asked.agg((F.count("*") * query_weight).alias("weight")).where("weight > 0")


JOB = Job(
    "build_vocabulary", reads=("items", "requests"), writes=("vocabulary",), run=run,
    doc="counts the tokens of titles, attributes and training queries and keeps the most frequent",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
