"""Schema evolution: what the release before wrote is read as long as its columns are these, and refused by name otherwise."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.build_vocabulary import JOB as VOCABULARY
from jobs.runtime.config import Config
from jobs.runtime.errors import InputError
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder
from schemas import DATASETS
from tests.jobs import published
from tests.jobs.ingest_cases import config_of

DAY = "2026-01-08"


@pytest.fixture
def shop(spark: SparkSession, tmp_path: Path) -> tuple[Config, Path]:
    """A published catalogue, and its manifest."""
    config = config_of(tmp_path)
    published.publish_items(spark, config, 5)
    run = SnapshotLog(config.paths.warehouse).head().run("items", DAY)
    return config, run_folder(Path(config.paths.warehouse), "items", DAY, str(run)) / "_MANIFEST.json"


def counted(spark: SparkSession, config: Config) -> int:
    """Rows of the catalogue, as a job reads them."""
    found = []

    def run(context: JobContext) -> None:
        found.append(context.read("items").count())

    run_job(Job("reader", reads=("items",), writes=(), run=run), config, date.fromisoformat(DAY), lambda: spark)
    return found[0]


def rewrite(manifest: Path, **changes: object) -> None:
    """The manifest as other code would have written it."""
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))


def test_other_code_with_the_same_columns_is_read(spark: SparkSession, shop: tuple[Config, Path]) -> None:
    config, manifest = shop
    rewrite(manifest, code_version="0.0.9+0123456789ab", config={"a key that is no more": 1})
    assert counted(spark, config) == 5


def test_other_columns_are_refused_with_the_job_to_run_again(spark: SparkSession, shop: tuple[Config, Path]) -> None:
    config, manifest = shop
    rewrite(manifest, code_version="0.0.9+0123456789ab", schema_hash="0" * 64)
    with pytest.raises(InputError, match=rf"items dt={DAY}: run .* was written by code 0\.0\.9\+0123456789ab with other columns "
                                         r"than schemas/ declares now; run .* for that day again"):
        counted(spark, config)


def test_a_column_that_was_added_since_would_have_been_read_as_null(spark: SparkSession, shop: tuple[Config, Path]) -> None:
    """Why the refusal is needed: Spark itself says nothing."""
    config, manifest = shop
    wider = DATASETS["items"].spark_schema().add("colour", "string")
    row = spark.read.schema(wider).parquet(str(manifest.parent)).first()
    assert row["colour"] is None


def test_a_manifest_of_a_format_that_this_code_does_not_know_is_refused(spark: SparkSession, shop: tuple[Config, Path]) -> None:
    config, manifest = shop
    rewrite(manifest, format=2)
    with pytest.raises(InputError, match=r"_MANIFEST\.json: format = 2; expected 1: publish the day again"):
        run_job(VOCABULARY, config, date.fromisoformat(DAY), lambda: spark)


def test_an_entry_without_what_later_code_added_to_entries_is_read(shop: tuple[Config, Path]) -> None:
    config, _ = shop
    log = SnapshotLog(config.paths.warehouse)
    head = log.head()
    path = log.root / "_log" / f"{head.number:06d}.json"
    body = json.loads(path.read_text())
    path.write_text(json.dumps({name: body[name] for name in ("number", "run_id", "job", "committed_at", "snapshots", "changes")}))
    assert log.head().snapshots == head.snapshots
