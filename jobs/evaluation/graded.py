"""Human grades as a truth of their own, where dataset `judgments` is published: other queries than the log's, graded items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.evaluation.comparison import Run, Values, mean_table, measure_differences, measure_runs
from mmse_model.metrics import Judgements, Recall, nDCG

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext

TRUTH = "graded"
GAIN = nDCG @ 10


@dataclass(frozen=True)
class Graded:
    """The judged queries and the grades, above 0, of the items that can be retrieved; nothing where none are published."""

    texts: list[str]
    judgements: Judgements
    day: str | None = None

    def at_least(self, grade: float) -> Judgements:
        """The items of that grade or a higher one, all alike."""
        kept = self.judgements.only(self.judgements.grade >= grade)
        return Judgements(kept.query, kept.item, np.ones_like(kept.grade), kept.queries)


def read_grades(context: JobContext, candidates: DataFrame) -> Graded:
    """The newest published judgments up to the date: `evaluate.max_queries` queries by hash, the best items of each."""
    days = [day for day in context.entry.days("judgments") if day <= context.dt]
    if not days:
        return Graded([], Judgements.of([], [], queries=0))
    settings, seed = context.config.evaluate, context.config.seed
    pairs = best_grades(context.read("judgments", days[-1]), candidates, seed, settings.max_queries, settings.max_relevant)
    table = pairs.toArrow()
    texts = sorted(set(table["query_norm"].to_pylist()))
    number = {text: n for n, text in enumerate(texts)}
    query = [number[text] for text in table["query_norm"].to_pylist()]
    judged = Judgements.of(query, table["dense_id"].to_numpy(), table["grade"].to_numpy(), queries=len(texts))
    return Graded(texts, judged, days[-1])


def best_grades(judgments: DataFrame, candidates: DataFrame, seed: int, queries: int, items: int) -> DataFrame:
    """query_norm, dense_id, grade: grades above 0 of retrievable items, the highest over locales, within both limits."""
    positive = judgments.where("grade > 0 and query_norm <> ''")
    graded = positive.groupBy("query_norm", "object_id").agg(F.max("grade").alias("grade"))
    known = graded.join(candidates, "object_id").select("query_norm", "dense_id", "grade")
    chosen = known.select("query_norm").distinct().orderBy(F.xxhash64(F.lit(seed), "query_norm"), "query_norm").limit(queries)
    order = Window.partitionBy("query_norm").orderBy(F.desc("grade"), "dense_id")
    ranked = known.join(F.broadcast(chosen), "query_norm").withColumn("place", F.row_number().over(order))
    return ranked.where(F.col("place") <= items).drop("place")


def graded_values(graded: Graded, runs: Sequence[Run], ks: Sequence[int], grade: float) -> list[Values]:
    """nDCG over the grades, then recall of the items with `grade` or more; queries without any are not in the second."""
    recalls = tuple(Recall @ k for k in ks)
    return [
        measure_runs(TRUTH, graded.judgements, runs, (GAIN,)),
        measure_runs(TRUTH, graded.at_least(grade), runs, recalls),
    ]


def graded_facts(graded: Graded, values: Sequence[Values], grade: float, k: int, resamples: int, seed: int) -> dict[str, Any]:
    """Means with intervals, and MMSE less the others, for nDCG and for recall at K."""
    gains, recalls = values
    return {
        "day": graded.day, "grade": grade, "queries": len(gains.queries), "recall_queries": len(recalls.queries),
        "table": [row for v in values for row in mean_table(v, resamples, seed)],
        "paired": [
            *measure_differences(gains, str(GAIN), resamples, seed),
            *measure_differences(recalls, str(Recall @ k), resamples, seed),
        ],
    }
