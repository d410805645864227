"""A shop of nine simulated days, eight of them ingested; every test gets a copy whose ninth it may injure."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.ingest.privacy import ensure_user_key
from jobs.pipeline import load_job
from jobs.runtime.config import Config, load_config
from jobs.runtime.errors import Blocked
from jobs.runtime.job import run_job
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.verdict import JOB_NAME, JobVerdict, job_folder
from tests.conftest import REPOSITORY

BEFORE, DAY = date(2026, 1, 8), date(2026, 1, 9)
"""2026-01-09 has one day of its weekday before it, 2026-01-02."""
MARKET = ["market.items=500", "market.requests=9000", "market.days=9", "ingest.catch_up_days=8", "spark.shuffle_partitions=2"]


class Morning:
    """A copy of the shop before the jobs of the ninth day."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.raw = spark, folder / "raw" / f"dt={DAY}"
        self.config = shop_config(folder)
        self.log = SnapshotLog(self.config.paths.warehouse)

    def run(self, job: str) -> JobVerdict:
        """The verdict of a job of the day; it is a block where nothing was published, and only there."""
        entry, blocked = self.log.head(), False
        try:
            run_job(load_job(job), self.config, DAY, lambda: self.spark)
        except Blocked:
            blocked = True
        verdict = JobVerdict.read(job_folder(self.config.paths.reports, str(DAY), job) / JOB_NAME)
        assert (blocked, self.log.head() == entry) == ((True, True) if verdict.verdict == "block" else (False, False))
        return verdict


def failed(verdict: JobVerdict, severity: str) -> set[str]:
    """Names of the checks that failed, by severity, on whatever day the run has written."""
    return {c.name for o in verdict.outputs for c in o.checks if c.severity == severity and not c.success}


def shop_config(folder: Path) -> Config:
    return load_config(REPOSITORY / "conf" / "demo.yaml", [
        *MARKET, f"paths.raw={folder / 'raw'}", f"paths.warehouse={folder / 'warehouse'}",
        f"paths.reports={folder / 'reports'}", f"ingest.user_key_file={folder / 'key'}",
    ])


@pytest.fixture(scope="session")
def eight_days(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eight-days")
    config = shop_config(folder)
    ensure_user_key(folder / "key")
    run_job(load_job("simulate_market"), config, DAY, lambda: spark)
    run_job(load_job("ingest_logs"), config, BEFORE, lambda: spark)
    for day in (date(2026, 1, 7), BEFORE):
        run_job(load_job("ingest_items"), config, day, lambda: spark)
    return folder


@pytest.fixture
def morning(spark: SparkSession, eight_days: Path, tmp_path: Path) -> Morning:
    shutil.copytree(eight_days, tmp_path / "shop")
    return Morning(spark, tmp_path / "shop")
