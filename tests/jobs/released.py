"""What makes a small release of real parts; the fixture `released` has one that all tests read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from jobs.build_index import JOB as BUILD_INDEX
from jobs.embed_items import JOB as EMBED_ITEMS
from jobs.publish_release import JOB
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext, run_job
from schemas import EVALUATION
from tests.jobs.published import DAY, DIMENSION, config_in, publish, publish_encoder, publish_items

MODEL = {"dimension": DIMENSION, "hidden": 8}
INDEX = {"lists": 4, "probes": 4, "verify_queries": 20, "codec": "flat"}
ITEMS = 100


def table(recall: float, k: int = 50) -> list[dict[str, Any]]:
    """The rows that an evaluation hands to the release, and one that it must leave out."""
    row = {"truth": "ordered", "k": k, "low": recall - 0.01, "high": recall + 0.01}
    return [
        {"system": "mmse", "search": "ann", "recall": recall, **row},
        {"system": "mmse", "search": "exact", "recall": recall + 0.005, **row},
        {"system": "bm25", "search": "exact", "recall": 0.6, **row},
    ]


def evaluate(spark: Any, config: Config, recall: float, k: int = 50) -> None:
    """An evaluation of the published parts that found this recall."""
    rows = [("mmse", "ann", "ordered", f"recall@{k}", "q", recall, 1, True)]
    frame = spark.createDataFrame(rows, EVALUATION.spark_schema())

    def write(context: JobContext) -> None:
        for name in ("model", "embeddings", "index"):
            context.manifest(name)
        context.write("evaluation", frame, facts={"k": k, "table": table(recall, k)})

    publish(spark, config, ("evaluation",), write, reads=("model", "embeddings", "index"))


def release(spark: Any, config: Config) -> JobContext:
    """Releases the published parts."""
    return run_job(JOB, config, DAY, lambda: spark)


def release_with_encoder(spark: Any, config: Config, seed: int = 3) -> JobContext:
    """Publishes an encoder, the items and every part made of them, and releases them with a recall of 0.70."""
    publish_encoder(spark, config, seed)
    publish_items(spark, config, ITEMS)
    for job in (EMBED_ITEMS, BUILD_INDEX):
        run_job(job, config, DAY, lambda: spark)
    evaluate(spark, config, recall=0.70)
    return release(spark, config)


def released_in(spark: Any, folder: Path) -> JobContext:
    """A warehouse in `folder` with one release."""
    return release_with_encoder(spark, config_in(folder, model=MODEL, index=INDEX))


def copied(config: Config, folder: Path) -> Config:
    """The same configuration over a copy of its warehouse."""
    warehouse = shutil.copytree(config.paths.warehouse, folder / "warehouse")
    return config.model_copy(update={"paths": config.paths.model_copy(update={"warehouse": str(warehouse)})})
