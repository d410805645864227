"""A Python worker of Spark is killed while it embeds items, and the driver of an index between its shards and the commit."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.memory import tree
from tests.failures.shop import PATIENCE, Shop, check_whole, finish
from tests.failures.test_killed_driver import check_unnoticed


def is_daemon(pid: int) -> bool:
    """Whether a process is pyspark's daemon or one of the workers it has forked."""
    try:
        return b"pyspark.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def kill_a_worker(process: subprocess.Popen[str]) -> bool:
    """Kills the first Python worker that a job starts; False where the job ended without any."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        for pid in tree(process.pid):
            try:
                if is_daemon(pid) and is_daemon(parent(pid)):
                    os.kill(pid, signal.SIGKILL)
                    return True
            except OSError:
                continue
        time.sleep(0.005)
    return False


@pytest.mark.slow
def test_row_02_an_embedding_worker_killed_at_work_ends_in_the_same_vectors_or_in_none(shop: Shop) -> None:
    hits, hashes, entry = shop.hits(), shop.hashes(), shop.head()
    process = shop.start("embed_items")
    assert kill_a_worker(process), "no worker was seen"
    code, said = finish(process)
    assert code in (0, 1), said
    assert (shop.head() == entry) == (code != 0)
    assert (shop.hits(), shop.hashes()) == (hits, hashes)
    code, said = shop.run("embed_items")
    assert code == 0, said
    assert shop.hashes() == hashes
    check_whole(shop)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["after_write", "before_commit"])
def test_row_01_the_driver_of_an_index_killed_between_its_shards_and_the_commit(shop: Shop, stage: str) -> None:
    check_unnoticed(shop, "build_index", stage)
