"""The chain on a real standalone cluster gives what local[2] gives."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from jobs.ingest.privacy import ensure_user_key
from jobs.pipeline import JOB_NAMES, run_span
from jobs.runtime.config import load_config
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder
from tests.cluster.standalone import standalone_cluster
from tests.small_market import SMALL_MARKET

DAY = "2026-01-08"
EQUAL = ("requests", "events", "items", "impressions", "attributions", "vocabulary", "tuples", "item_stream")


def content_hashes(warehouse: Path, datasets: tuple[str, ...]) -> dict[tuple[str, str], str]:
    """Content hash of every published day of the datasets."""
    head = SnapshotLog(warehouse).head()
    return {
        key: Manifest.read(run_folder(warehouse, *key, run)).content_hash
        for key, run in head.snapshots.items() if key[0] in datasets
    }


def overrides(folder: Path, warehouse: str) -> list[str]:
    return [
        *SMALL_MARKET, f"paths.raw={folder / 'raw'}", f"paths.reports={folder / warehouse}-reports",
        f"paths.warehouse={folder / warehouse}", f"ingest.user_key_file={folder / 'key'}",
    ]


@pytest.mark.slow
def test_eleven_submitted_jobs_publish_the_same_content_as_one_local_process(tmp_path: Path) -> None:
    ensure_user_key(tmp_path / "key")
    local = load_config("conf/demo.yaml", overrides(tmp_path, "local"))
    run_span(JOB_NAMES, local, date.fromisoformat(DAY))
    here = content_hashes(tmp_path / "local", EQUAL)

    with standalone_cluster(tmp_path / "cluster") as cluster:
        settings = [f"--set={s}" for s in overrides(tmp_path, "there")]
        for job in JOB_NAMES:
            done = cluster.submit(job, "--config", "conf/demo.yaml", "--date", DAY, *settings)
            assert done.returncode == 0, f"{job}: {done.stderr[-3000:]}"
            assert done.stdout.startswith(job)

    assert content_hashes(tmp_path / "there", EQUAL) == here
    assert {dataset for dataset, _ in here} == set(EQUAL)
    assert SnapshotLog(tmp_path / "there").head().days("release") == [DAY]
