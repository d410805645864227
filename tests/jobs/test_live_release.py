"""Serving while releases are swapped: no search fails or mixes two releases, and nothing of an old one is kept."""

from __future__ import annotations

import argparse
import gc
import os
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from jobs.item_filter import Where
from jobs.live_release import LiveRelease
from jobs.release_reader import Hit, open_release
from jobs.rollback import rollback
from jobs.runtime.config import Config
from jobs.runtime.errors import ConfigError, InputError
from jobs.runtime.job import JobContext
from jobs.runtime.snapshots import SnapshotLog
from tests.jobs.published import DAY, config_in
from tests.jobs.released import copied, release_with_encoder

QUERIES = ["usb 3", "cable"]
ACME = Where("acme")
Answers = list[list[Hit]]


@dataclass(frozen=True)
class Shop:
    """A warehouse with two releases of one day that share no part, and what each answers."""

    config: Config
    runs: tuple[str, str]
    answers: tuple[Answers, Answers]

    def put(self, number: int) -> None:
        """Makes release 0 or 1 the newest, unopened."""
        log = SnapshotLog(self.config.paths.warehouse)
        log.commit(log.head(), "test", "test", {("release", str(DAY)): self.runs[number]}, {})

    def part(self, number: int, name: str) -> Path:
        """The folder of a part of release 0 or 1."""
        self.put(number)
        return open_release(self.config).folders[name]

    def mapped(self) -> int:
        """Mappings of files of this warehouse that the process holds."""
        return sum(self.config.paths.warehouse in line for line in Path("/proc/self/maps").read_text().splitlines())

    def open_files(self) -> int:
        """Descriptors of files of this warehouse that the process holds."""
        found = 0
        for link in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # closed meanwhile
                found += self.config.paths.warehouse in os.readlink(f"/proc/self/fd/{link}")
        return found


@pytest.fixture(scope="module")
def two(spark: Any, released: JobContext, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    there = copied(released.config, tmp_path_factory.mktemp("live"))
    runs, answers = [], []
    for seed in (None, 4):
        if seed is not None:
            release_with_encoder(spark, there, seed)
        runs.append(SnapshotLog(there.paths.warehouse).head().run("release", str(DAY)))
        answers.append(open_release(there).search_many(QUERIES, 5, where=ACME))
    first, second = ({hit.score for hits in answer for hit in hits} for answer in answers)
    assert not first & second  # a score tells which release it is of
    return Shop(there, tuple(runs), tuple(answers))


@pytest.fixture
def shop(two: Shop) -> Shop:
    """With release 0 in force."""
    two.put(0)
    return two


def ask(live: LiveRelease) -> Answers:
    return live.search_many(QUERIES, 5, where=ACME)


@contextmanager
def searching(live: LiveRelease, threads: int) -> Iterator[list[list[Answers]]]:
    """Inside the block so many threads search without pause; what each was answered. Raises what one of them raised."""
    stop, found = Event(), [[] for _ in range(threads)]

    def search(answers: list[Answers]) -> None:
        while not stop.is_set():
            answers.append(ask(live))

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(search, answers) for answers in found]
        try:
            yield found
        finally:
            stop.set()
        for future in running:
            future.result()


def within(seconds: float, true: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


@pytest.mark.parametrize("swaps", [6, pytest.param(24, marks=pytest.mark.slow)])
def test_searches_go_on_while_releases_are_rolled_back_and_forth(shop: Shop, swaps: int) -> None:
    with LiveRelease.open(shop.config) as live, searching(live, threads=3) as found:
        for number in [1, 0] * (swaps // 2):
            rollback(shop.config, argparse.Namespace(to=shop.runs[number], list=False))
            counts = [len(answers) for answers in found]
            assert live.refresh() and live.serving.run == shop.runs[number]
            assert ask(live) == shop.answers[number]
            # Every thread is answered twice after the swap: the second of these searches began after it.
            assert within(60, lambda counts=counts: all(len(answers) >= n + 2 for answers, n in zip(found, counts)))
        assert live.last_error is None
    for answers in found:
        assert all(answer in shop.answers for answer in answers), "an answer of neither release, or of both"
        assert shop.answers[0] in answers and shop.answers[1] in answers


def test_the_newest_release_is_not_opened_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with LiveRelease.open(shop.config) as live:
        serving = live.serving
        shop.put(0)  # an entry more, of the same release
        monkeypatch.setattr("jobs.live_release.open_release", None)
        assert not live.refresh() and live.serving is serving and live.last_error is None


def test_a_search_ends_on_the_release_it_began_with_and_its_files_go_then(shop: Shop) -> None:
    with LiveRelease.open(shop.config) as live:
        gc.collect()  # of earlier tests
        one = shop.mapped()
        begun = live.serving.released
        shop.put(1)
        assert live.refresh()
        assert shop.mapped() == 2 * one > 0
        assert begun.search_many(QUERIES, 5, where=ACME) == shop.answers[0] != ask(live)
        gone = weakref.ref(begun)
        del begun
        assert gone() is None and shop.mapped() == one
    assert shop.mapped() == 0


@pytest.mark.parametrize("swaps", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_many_swaps_leave_no_mapping_and_no_open_file(shop: Shop, swaps: int) -> None:
    gc.collect()
    with LiveRelease.open(shop.config) as live:
        one = shop.mapped()
        for n in range(1, swaps + 1):
            shop.put(n % 2)
            assert live.refresh()
            assert ask(live) == shop.answers[n % 2]
            assert shop.mapped() == one > 0
        assert within(10, lambda: shop.open_files() == 0)  # Arrow closes what it has read a little later


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("part", "pattern", "damage", "sentence"), [
    ("index", "shard-*.faiss", flip_last_byte, "faiss: SHA-256"),
    ("index", "shard-*.faiss", Path.unlink, "faiss: missing"),
    ("model", "model.safetensors", flip_last_byte, "model.safetensors: SHA-256"),
    ("items", "*.parquet", Path.unlink, "parquet: missing"),
    ("items", "_MANIFEST.json", Path.unlink, "_MANIFEST.json: cannot be read"),
])
def test_a_damaged_release_leaves_the_one_before_and_is_tried_again(
    shop: Shop, part: str, pattern: str, damage: Callable[[Path], None], sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = next(iter(sorted(shop.part(1, part).glob(pattern))))
    sound = path.read_bytes()
    shop.put(0)
    with LiveRelease.open(shop.config) as live:
        one = shop.mapped()
        try:
            damage(path)
            shop.put(1)
            for _ in range(2):
                assert not live.refresh()
                assert sentence in str(live.last_error) and ask(live) == shop.answers[0]
            assert [record.levelname for record in caplog.records if "not opened" in record.message] == ["WARNING"]
            assert shop.mapped() == one
        finally:
            path.write_bytes(sound)
        assert live.refresh() and live.last_error is None and ask(live) == shop.answers[1]


def test_what_was_wrong_is_forgotten_when_the_release_that_answers_is_the_newest_again(shop: Shop) -> None:
    with LiveRelease.open(shop.config) as live:
        log = SnapshotLog(shop.config.paths.warehouse)
        log.commit(log.head(), "test", "test", {("release", str(DAY)): "20990101T000000-000000"}, {})
        assert not live.refresh() and "release.json: cannot be read" in str(live.last_error)
        shop.put(0)
        assert not live.refresh() and live.last_error is None


def test_a_thread_follows_the_log_until_it_is_closed(shop: Shop) -> None:
    live = LiveRelease.open(shop.config, refresh_every=0.05)
    with live, searching(live, threads=1) as found:
        for number in (1, 0, 1):
            shop.put(number)
            assert within(60, lambda number=number: live.serving.run == shop.runs[number])
            assert ask(live) == shop.answers[number]
    assert all(answer in shop.answers for answer in found[0])
    assert live._thread is not None and not live._thread.is_alive()


def test_two_looks_at_once_open_a_release_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def slowly(*arguments: Any) -> Any:
        opened.append(arguments)
        time.sleep(0.2)
        return open_release(*arguments)

    with LiveRelease.open(shop.config) as live:
        shop.put(1)
        monkeypatch.setattr("jobs.live_release.open_release", slowly)
        threads = [Thread(target=live.refresh) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(opened) == 1 and live.serving.run == shop.runs[1]


def test_what_is_closed_neither_answers_nor_looks(shop: Shop) -> None:
    live = LiveRelease.open(shop.config)
    live.close()
    live.close()
    with pytest.raises(RuntimeError, match="the live release is closed"):
        live.search("usb", 5)
    shop.put(1)
    assert not live.refresh()


def test_there_must_be_a_release_to_begin_with_and_a_time_between_looks(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="release dt=any: not published"):
        LiveRelease.open(config_in(tmp_path))
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=f"refresh_every = {seconds}; expected seconds above 0"):
            LiveRelease.open(shop.config, refresh_every=seconds)
