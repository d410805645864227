"""The chain on a real standalone cluster gives what local[2] gives."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from benchmarks.standalone import standalone_cluster
from jobs.pipeline import FIRST_OF_A_SHOP, JOB_NAMES, run_span, span
from jobs.runtime.config import load_config
from jobs.runtime.snapshots import SnapshotLog
from tests.cluster.chain import DAY, content_hashes, overrides

EQUAL = ("requests", "events", "items", "impressions", "attributions", "vocabulary", "tuples", "item_stream")


@pytest.mark.slow
def test_a_second_run_of_the_date_gives_the_same_content_in_every_dataset(local: Path) -> None:
    first = content_hashes(local / "local")
    config = load_config("conf/demo.yaml", overrides(local, "local"))
    again = run_span(span(FIRST_OF_A_SHOP, JOB_NAMES[-1]), config, date.fromisoformat(DAY))
    assert content_hashes(local / "local") == first
    rewritten = {dataset for context in again for dataset, _ in context.outputs}
    assert {"requests", "events", "items", "tuples", "model", "embeddings", "index", "evaluation", "release"} <= rewritten


@pytest.mark.slow
def test_eleven_submitted_jobs_publish_the_same_content_as_one_local_process(local: Path, tmp_path: Path) -> None:
    with standalone_cluster(tmp_path / "cluster") as cluster:
        settings = [f"--set={s}" for s in overrides(local, "there")]
        for job in JOB_NAMES:
            done = cluster.submit(job, "--config", "conf/demo.yaml", "--date", DAY, *settings)
            assert done.returncode == 0, f"{job}: {done.stderr[-3000:]}"
            assert f"\n{job} " in f"\n{done.stdout}"

    here, there = content_hashes(local / "local"), content_hashes(local / "there")
    for dataset in EQUAL:
        assert {k: h for k, h in there.items() if k[0] == dataset} == {k: h for k, h in here.items() if k[0] == dataset}
    assert SnapshotLog(local / "there").head().days("release") == [DAY]
