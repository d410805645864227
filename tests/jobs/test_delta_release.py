"""The day after a release, by the same model: what is served then is that day's catalogue, out of an index with a delta."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs import build_index, embed_items, publish_release
from jobs.release_reader import search_release
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext, run_job
from schemas import EVALUATION
from tests.jobs.published import DAY, DIMENSION, config_in, item_rows, publish, publish_encoder, publish_items

NEXT = DAY + timedelta(days=1)
INDEX = {"lists": 4, "probes": 4, "verify_queries": 20, "codec": "flat", "delta": {"max_error_growth": 9, "max_imbalance_growth": 9}}


def a_day_later(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Item 1 has another title, 9 is gone, 6 has come."""
    title = "red hdmi adapter" if row[1] == 1 else row[3]
    return (*row[:3], title, *row[4:8], {9: False, 6: True}.get(row[1], row[8]), *row[9:])


def evaluate(spark: Any, config: Config) -> None:
    """An evaluation of the parts of NEXT."""
    row = {"system": "mmse", "truth": "ordered", "k": 50, "recall": 0.7, "low": 0.6, "high": 0.8}

    def write(context: JobContext) -> None:
        for name, day in (("model", DAY), ("embeddings", NEXT), ("index", NEXT)):
            context.manifest(name, day.isoformat())
        frame = spark.createDataFrame([("mmse", "ann", "ordered", "recall@50", "q", 0.7, 1, True)], EVALUATION.spark_schema())
        context.write("evaluation", frame, facts={"k": 50, "table": [{**row, "search": search} for search in ("ann", "exact")]})

    publish(spark, config, ("evaluation",), write, reads=("model", "embeddings", "index"), day=NEXT)


@pytest.mark.slow
def test_a_search_of_the_release_finds_the_items_of_its_day_with_their_scores_and_none_that_was_removed(
    spark: Any, tmp_path: Path
) -> None:
    config = config_in(tmp_path, model={"dimension": DIMENSION, "hidden": 8}, index=INDEX)
    publish_encoder(spark, config)
    for day, rows, change in ((DAY, 100, lambda row: row), (NEXT, 104, a_day_later)):
        publish_items(spark, config, rows, day, change)
        run_job(embed_items.JOB, config, day, lambda: spark)
        built = run_job(build_index.JOB, config, day, lambda: spark)
    assert built.notes["delta"] == "1 (added 5 changed 1 removed 1)"  # 6 and 100 to 103
    evaluate(spark, config)
    run_job(publish_release.JOB, config, NEXT, lambda: spark)
    (hits,) = search_release(config, ["usb cable 9"], 200, explain=True)
    today = {row[0]: row[3] for row in map(a_day_later, item_rows(104)) if row[8]}
    assert {hit.object_id: hit.title for hit in hits} == today
    for hit in hits:
        assert hit.grains is not None and sum(hit.grains.values()) == pytest.approx(hit.score, abs=1e-4)
