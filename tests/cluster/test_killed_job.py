"""A job that is killed in the middle of its write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.report.status import status_lines
from jobs.runtime.config import load_config
from tests.cluster.chain import DAY, content_hashes, overrides

JOB, DATASET = "build_tuples", "tuples"
PATIENCE = 240
"""Seconds that one job may take on a slow machine."""


def submitted(settings: list[str]) -> subprocess.Popen[bytes]:
    """`mmse build_tuples` in a process group of its own."""
    command = [sys.executable, "-m", "jobs.cli", JOB, "--config", "conf/demo.yaml", "--date", DAY]
    return subprocess.Popen(
        [*command, *[f"--set={s}" for s in settings]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def half_written(warehouse: Path, before: set[Path]) -> list[Path]:
    """Runs that a writer has begun and not finished."""
    return [run for run in set((warehouse / DATASET).glob("dt=*/run=*")) - before if not (run / "_MANIFEST.json").exists()]


@pytest.mark.slow
def test_kill_9_in_the_middle_of_a_write_leaves_the_status_unchanged_and_the_next_run_succeeds(local: Path) -> None:
    settings, warehouse = overrides(local, "local"), local / "local"
    config = load_config("conf/demo.yaml", settings)
    status, hashes = status_lines(config), content_hashes(warehouse)
    runs = set((warehouse / DATASET).glob("dt=*/run=*"))

    killed = submitted(settings)
    deadline = time.monotonic() + PATIENCE
    while not half_written(warehouse, runs) and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "the job ended before it could be killed"
    assert half_written(warehouse, runs), "the job was killed before it began to write"
    assert status_lines(config) == status

    assert submitted(settings).wait(PATIENCE) == 0
    assert content_hashes(warehouse) == hashes
    assert status_lines(config) != status, "the second run was to be committed"
