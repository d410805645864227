"""A small shop with a release, prepared once and copied for every injury, and what must hold of it afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from jobs.ingest.privacy import ensure_user_key
from jobs.pipeline import JOB_NAMES, run_span
from jobs.release_reader import Hit, search_release
from jobs.runtime.config import Config, load_config
from jobs.runtime.manifest import Manifest, file_sha256
from jobs.runtime.snapshots import Entry, SnapshotLog
from jobs.runtime.store import run_folder
from jobs.runtime.version import code_version
from tests.cluster.chain import DAY, content_hashes, overrides
from tests.conftest import REPOSITORY

PATIENCE = 900
"""Seconds that jobs may take on a slow machine."""
QUERIES = ("usb c charger", "lamp", "red")
SMALL = (
    "market.items=500", "market.requests=1500", "spark.master=local[1]", "spark.driver_memory=1g", "spark.shuffle_partitions=1",
)
"""So small that three drivers at once fit a small machine."""


class Shop:
    """A warehouse with its feed in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.warehouse = folder, folder / "warehouse"
        self.log = SnapshotLog(self.warehouse)

    def settings(self, *more: str) -> list[str]:
        return [*overrides(self.folder, "warehouse"), *more]

    def config(self, *more: str) -> Config:
        return load_config(REPOSITORY / "conf" / "demo.yaml", self.settings(*more))

    def start(self, job: str, *arguments: str, day: str = DAY, more: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """`mmse JOB` in a process group of its own, allowed to use --fail-at."""
        command = [sys.executable, "-m", "jobs.cli", job, "--config", "conf/demo.yaml", "--date", day, *arguments]
        return subprocess.Popen(
            [*command, *[f"--set={s}" for s in self.settings(*more)]], cwd=REPOSITORY, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "MMSE_FAILURE_SUITE": "1"},
        )

    def run(self, job: str, *arguments: str, **more: Any) -> tuple[int, str]:
        """Exit code and what was said, of a job that is waited for; whatever it left running is ended."""
        process = self.start(job, *arguments, **more)
        return finish(process)

    def head(self) -> Entry:
        return self.log.head()

    def hits(self) -> list[list[Hit]]:
        """What the release in force answers."""
        found = search_release(self.config(), QUERIES, 10)
        assert all(len(hits) == 10 for hits in found)
        return found

    def hashes(self) -> dict[tuple[str, str], str]:
        """Content hash of everything that is published."""
        return content_hashes(self.warehouse)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Waits for a job; its process group, the JVM among it, is ended by then."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        end_group(process)
    return process.returncode, out + err


def end_group(process: subprocess.Popen[str]) -> None:
    """Kills what is left of a job's process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_until_stopped(pid: int) -> None:
    """Returns once a process has stopped itself."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
        assert state != "Z", "the job ended before it reached the stage"
        if state == "T":
            return
        time.sleep(0.02)
    raise AssertionError("the job did not reach the stage")


def prepared() -> Path:
    """The folder of a shop that all eleven jobs have run in."""
    return kept("released", lambda shop: run_span(JOB_NAMES, shop.config(), date.fromisoformat(DAY)))


def calm_one() -> Path:
    """The folder of a smaller shop that one run had to itself, from its feed to its labels."""

    def make(shop: Shop) -> None:
        code, said = shop.run("run", "--from", "simulate_market", "--to", "label_impressions", more=SMALL)
        assert code == 0, said

    return kept("calm", make)


def kept(name: str, make: Callable[[Shop], object]) -> Path:
    """The folder of a shop that `make` fills, once for every version of the code; what other versions made is removed."""
    folder = REPOSITORY / "build" / "failures" / code_version() / name
    if not (folder / "ready").exists():
        for other in folder.parent.parent.glob("*"):
            shutil.rmtree(folder if other == folder.parent else other, ignore_errors=True)
        folder.mkdir(parents=True)
        ensure_user_key(folder / "key")
        make(Shop(folder))
        (folder / "ready").touch()
    return folder


def copied(target: Path) -> Shop:
    """A shop of one's own."""
    shutil.copytree(prepared(), target)
    return Shop(target)


def check_whole(shop: Shop) -> None:
    """Every entry of the log is whole: it can be read, and each run it names has every file that its manifest lists."""
    numbers = shop.log.numbers()
    assert numbers == list(range(1, len(numbers) + 1))
    named = {(*key, run) for number in numbers for key, run in shop.log.entry(number).snapshots.items()}
    for dataset, dt, run in named:
        folder = run_folder(shop.warehouse, dataset, dt, run)
        manifest = Manifest.read(folder)
        assert (manifest.dataset, manifest.dt, manifest.run_id) == (dataset, dt, run)
        for file in manifest.files:
            assert file_sha256(folder / file.path) == file.sha256, f"{folder}: {file.path} is another file than was committed"


def check_survived(shop: Shop, job: str, code: int, injured: Callable[[], tuple[int, str]]) -> str:
    """A job that is injured ends with that code and changes nothing, and the next run gives the same content; what was said."""
    hashes, entry = shop.hashes(), shop.head()
    ended, said = injured()
    assert ended == code, said
    assert shop.head() == entry
    assert shop.hashes() == hashes
    again, words = shop.run(job, more=SMALL)
    assert again == 0, words
    assert shop.head().number == entry.number + 1
    assert shop.hashes() == hashes
    check_whole(shop)
    return said
