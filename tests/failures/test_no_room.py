"""Rows 14 and 15: the volume of Spark's scratch files is full, or a Python worker or the driver has no memory left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.failures.shop import SMALL, Shop, check_survived

SCRATCH = "64k"
"""Less than the shuffles of one day write."""


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A volume with hardly any room; the test is skipped where nobody may mount one."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SCRATCH}", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a volume needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def check_injured(shop: Shop, *injury: str, code: int = 1) -> str:
    """The day is ingested again under an injury: it fails and changes nothing, and without the injury gives the same content."""
    return check_survived(shop, "ingest_logs", code, lambda: shop.run("ingest_logs", more=(*SMALL, *injury)))


@pytest.mark.slow
def test_row_14_a_full_scratch_volume_fails_the_job_by_name(labelled: Shop, scratch: Path) -> None:
    said = check_injured(labelled, f"spark.conf={{spark.local.dir: {scratch}}}")
    assert "no space left on a volume" in said
    assert f"spark.local.dir = {scratch}: " in said


@pytest.mark.slow
def test_row_15_a_python_worker_without_memory_fails_the_job(labelled: Shop) -> None:
    # Less than the worker holds from its start on, such as 64m, may make CPython turn round in its own handling of MemoryError.
    said = check_injured(labelled, "spark.conf={spark.executor.pyspark.memory: 192m}")
    assert "MemoryError" in said or "Python worker exited unexpectedly" in said, said


@pytest.mark.slow
def test_row_15_a_driver_below_the_least_memory_of_spark_is_refused_before_it_starts(labelled: Shop) -> None:
    said = check_injured(labelled, "spark.driver_memory=300m", code=2)
    assert "spark.driver_memory = '300m'; Value error, expected at least 450m" in said
    assert "Traceback" not in said
