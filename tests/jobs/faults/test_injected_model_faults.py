"""Faults between training and release, through the real jobs: each blocks its job by name, and nothing of it is published."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jobs.build_index
import jobs.index.building
from jobs.pipeline import load_job
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked
from jobs.runtime.job import run_job
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.verdict import JOB_NAME, JobVerdict, job_folder
from tests.jobs.published import (
    DAY,
    config_in,
    item_rows,
    publish_embeddings,
    publish_encoder,
    publish_items,
    publish_model,
    unit_vectors,
)
from tests.jobs.test_embed_items import MODEL

NOT_FOUND = {"index.self_recall_at_1.critical", "index.recall_at_10_vs_exact.critical"}
"""What fails as well where vectors are lost: a search for them finds nothing."""


def critical(spark: Any, config: Config, job: str) -> set[str]:
    """The critical checks by which a job is blocked; nothing of it is published."""
    log = SnapshotLog(config.paths.warehouse)
    entry = log.head()
    with pytest.raises(Blocked):
        run_job(load_job(job), config, DAY, lambda: spark)
    assert log.head() == entry
    verdict = JobVerdict.read(job_folder(config.paths.reports, DAY.isoformat(), job) / JOB_NAME)
    assert verdict.verdict == "block"
    return {c.name for o in verdict.outputs for c in o.checks if c.severity == "critical" and not c.success}


@pytest.fixture
def shop(spark: Any, tmp_path: Path) -> Config:
    """600 embeddings that are as they should be."""
    config = config_in(tmp_path, index={"lists": 8, "probes": 4, "verify_queries": 50})
    publish_embeddings(spark, config, np.arange(600), unit_vectors(600), publish_model(spark, config))
    return config


def test_collapsed_embeddings(spark: Any, tmp_path: Path) -> None:
    """Every item is told to the tower in the same words: all vectors point one way."""
    config = config_in(tmp_path, model=MODEL, embed={"block": 16})
    publish_encoder(spark, config)
    alike = ("en", "usb cable", "Acme", "Cables > USB", "shop", 1.0)
    publish_items(spark, config, 100, change=lambda row: (*row[:2], *alike, *row[8:]))
    assert critical(spark, config, "embed_items") == {
        "embeddings.mean_pairwise_cosine.critical", "embeddings.effective_rank.critical",
    }


def test_titles_of_other_items(spark: Any, tmp_path: Path) -> None:
    """The next day's feed gives every item the title, brand and shop of another: the day goes on, with a warning."""
    config = config_in(tmp_path, model=MODEL, embed={"block": 16})
    publish_encoder(spark, config)
    publish_items(spark, config, 300)
    run_job(load_job("embed_items"), config, DAY, lambda: spark)
    rows, after = item_rows(300), DAY + timedelta(days=1)
    publish_items(spark, config, 300, after, lambda row: (*row[:3], *rows[(7 * row[1] + 50) % 300][3:8], *row[8:]))
    context = run_job(load_job("embed_items"), config, after, lambda: spark)
    found = [c for verdict in context.audited for c in verdict.checks if not c.success]
    assert [c.name for c in found] == ["embeddings.neighbours_kept_same_model.warning"]


def test_one_index_shard_lost(spark: Any, shop: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = jobs.build_index.build_shards
    monkeypatch.setattr(jobs.build_index, "build_shards", lambda *given: whole(*given)[1:])
    found = critical(spark, shop, "build_index")
    assert "index.ids_missing.critical" in found <= {"index.ids_missing.critical", *NOT_FOUND}


def test_ids_permuted(spark: Any, shop: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task gives each vector the id of its neighbour: each id is there once, and finds another vector than its own."""
    def permuted(task: Any, **given: Any) -> Any:
        import jobs.index.building as building

        ordered = building.read_range
        try:
            building.read_range = lambda *wanted: ((ids, np.roll(vectors, 1, axis=0)) for ids, vectors in ordered(*wanted))
            return building.build_shard(task, **given)
        finally:
            building.read_range = ordered

    whole = jobs.index.building.build_shards

    def build_shards(*given: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(jobs.index.building, "build_shard", permuted)
            return whole(*given)

    monkeypatch.setattr(jobs.build_index, "build_shards", build_shards)
    found = critical(spark, shop, "build_index")
    assert "index.self_recall_at_1.critical" in found <= NOT_FOUND
