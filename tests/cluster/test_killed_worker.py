"""An executor that is killed in the middle of a job: another one takes over, and the content is the same."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from benchmarks.standalone import standalone_cluster
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder
from tests.cluster.chain import DAY, content_hashes, overrides

PATIENCE = 240
"""Seconds that one job may take on a slow machine."""


def executors(work: Path) -> list[int]:
    """Processes that the cluster whose workers live in `work` runs tasks in."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            inside = os.readlink(folder / "cwd").startswith(str(work))
        except OSError:
            continue
        if inside and any(word.endswith("CoarseGrainedExecutorBackend") for word in words):
            found.append(int(folder.name))
    return sorted(found)


def kill_one_when(work: Path, folder: Path, begun: str, killed: list[int]) -> None:
    """Kills the first executor as soon as a file that matches `begun` is there below `folder`."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not killed:
        if any(folder.glob(begun)):
            for pid in executors(work)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        time.sleep(0.02)


@pytest.mark.slow
def test_tuples_are_the_same_on_two_workers_one_of_which_is_killed_in_the_middle(local: Path, tmp_path: Path) -> None:
    before = content_hashes(local / "local")
    runs, killed = SnapshotLog(local / "local").head().snapshots, []
    with standalone_cluster(tmp_path / "cluster") as cluster:
        begun = (local / "local" / "tuples", "_staging-*/candidates/*.parquet")
        killer = threading.Thread(target=kill_one_when, args=(cluster.work, *begun, killed))
        killer.start()
        settings = [f"--set={s}" for s in overrides(local, "local")]
        done = cluster.submit("build_tuples", "--config", "conf/demo.yaml", "--date", DAY, *settings, timeout=PATIENCE)
        killer.join()
    assert killed, "no executor was killed"
    assert done.returncode == 0, done.stderr[-3000:]
    after = SnapshotLog(local / "local").head().snapshots
    for dataset in ("tuples", "item_stream"):
        assert after[dataset, DAY] != runs[dataset, DAY], "the job was to write anew"
        manifest = Manifest.read(run_folder(local / "local", dataset, DAY, after[dataset, DAY]))
        assert manifest.content_hash == before[dataset, DAY]
