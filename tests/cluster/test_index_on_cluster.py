"""An index trained in two levels on two workers, one of which is killed in the middle: the content that one local process gives."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.standalone import standalone_cluster
from jobs.build_index import JOB
from jobs.runtime.config import load_config
from jobs.runtime.job import run_job
from mmse_model.index_files import ASSIGNER
from tests.cluster.chain import content_hashes
from tests.cluster.test_killed_worker import PATIENCE, kill_one_when
from tests.jobs.published import DAY, publish_embeddings, publish_model, unit_vectors

ROWS = 12_000
SAMPLED = "index/dt=*/run=*/**/sample-*.f32"
"""Files that a training begins with."""


def settings(folder: Path, warehouse: str) -> list[str]:
    """As `--set` values: 200 lists in two levels, four shards."""
    index = {"lists": 200, "two_level_lists": 16, "assign_excess": 0.9, "rows_per_shard": 3_000, "verify_queries": 50}
    paths = {name: folder / name for name in ("raw", "reports")} | {"warehouse": folder / warehouse}
    return [*(f"paths.{name}={path}" for name, path in paths.items()), *(f"index.{name}={value}" for name, value in index.items())]


@pytest.mark.slow
def test_an_index_is_the_same_on_two_workers_one_of_which_is_killed_in_the_middle(spark: Any, tmp_path: Path) -> None:
    config = load_config("conf/demo.yaml", settings(tmp_path, "here"))
    ids = np.arange(ROWS, dtype=np.int64)
    publish_embeddings(spark, config, ids, unit_vectors(ROWS, centres=40), publish_model(spark, config), files=3)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    run_job(JOB, config, DAY, lambda: spark)
    killed: list[int] = []
    with standalone_cluster(tmp_path / "cluster") as cluster:
        killer = threading.Thread(target=kill_one_when, args=(cluster.work, tmp_path / "there", SAMPLED, killed))
        killer.start()
        given = [f"--set={value}" for value in settings(tmp_path, "there")]
        done = cluster.submit("build_index", "--config", "conf/demo.yaml", "--date", DAY.isoformat(), *given, timeout=PATIENCE)
        killer.join()
    assert killed, "no executor was killed"
    assert done.returncode == 0, done.stderr[-3000:]
    here, there = content_hashes(tmp_path / "here"), content_hashes(tmp_path / "there")
    assert there["index", DAY.isoformat()] == here["index", DAY.isoformat()]
    assert len(list((tmp_path / "there").glob(f"index/dt=*/run=*/{ASSIGNER}"))) == 1
