"""What the simulated market allows at all: python -m benchmarks.frontier --date 2026-01-08

Clicks and orders pull apart there: hype is clicked and not bought. Systems that know the hidden truth rank each query's items by
P(click) * P(order | click)^power, from clicks alone (0) to orders (1) and beyond; their recall of ordered and of clicked items
is the most that any weighing of the two stages could reach. Reads the published demo; prints a table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pyspark.sql import functions as F

from benchmarks.machine import machine
from jobs.embed_items import eligible_items
from jobs.evaluate_retrieval import ask, gather_evidence
from jobs.evaluation.comparison import Run, measure_runs
from jobs.evaluation.questions import TRUTHS, number_queries, placed
from jobs.evaluation.relevance import oracle_items, sample_queries
from jobs.runtime.config import load_config
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.main import parse_day
from mmse_model.metrics import Recall

POWERS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
READS = ("items", "requests", "impressions", "truth_requests", "truth_utility")


def frontier(context: JobContext, k: int) -> list[dict[str, float]]:
    """Ordered and clicked recall at k for each power."""
    candidates = eligible_items(context.read("items")).select("dense_id", "object_id")
    evidence = gather_evidence(context, candidates)
    chosen = sample_queries(evidence.truth, context.config.seed, context.config.evaluate.max_queries)
    texts = [row.query_norm for row in chosen.collect()]
    queries = number_queries(context.spark, texts)
    judgements = ask(context, evidence, queries, texts).judgements
    intents = context.read("truth_requests")
    utility, rows = context.read("truth_utility"), []
    for power in POWERS:
        likely = F.col("order_probability") / F.col("click_probability")
        ranked = utility.withColumn("order_probability", F.col("click_probability") * F.pow(likely, F.lit(power)))
        found = oracle_items(evidence.requests, queries, intents, ranked, candidates, k)
        run = Run("oracle", "exact", placed(found, len(texts), k))
        means = {t: float(measure_runs(t, judgements[t], [run], [Recall @ k]).values.mean()) for t in TRUTHS}
        rows.append({"power": power, **means})
        print(f"| {power:g} | " + " | ".join(f"{means[t]:.3f}" for t in TRUTHS) + " |", flush=True)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frontier", description="Recall that the hidden truth allows.")
    parser.add_argument("--config", default="conf/demo.yaml")
    parser.add_argument("--date", required=True)
    parser.add_argument("-k", type=int, default=10)
    chosen = parser.parse_args(arguments)
    found: list[dict[str, Any]] = []
    print(f"| power | ordered@{chosen.k} | clicked@{chosen.k} |\n|---:|---:|---:|")
    job = Job("frontier", READS, (), lambda context: found.extend(frontier(context, chosen.k)))
    run_job(job, load_config(chosen.config), parse_day(chosen.date))
    print(json.dumps({"k": chosen.k, "frontier": found, **machine()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
