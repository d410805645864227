"""The commit on a real object store: create-if-absent by `If-None-Match: *` against Ceph's RADOS gateway."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.runtime.bucket_entries import BucketEntries
from jobs.runtime.errors import ConfigError, Fenced
from jobs.runtime.log_location import LOCATION, LOG, OWNER
from jobs.runtime.sections import PathSettings
from jobs.runtime.snapshots import EMPTY, SnapshotLog
from tests.failures.shop import DAY, SMALL, Shop, check_whole, finish, wait_until_stopped

pytestmark = pytest.mark.slow


def logged(warehouse: Path, address: str) -> SnapshotLog:
    """The log of a warehouse that keeps it at that address."""
    return SnapshotLog.opened(PathSettings(warehouse=str(warehouse), snapshot_log=address))


def moved(shop: Shop, address: str) -> list[str]:
    """Moves a shop's log to that address, as docs/ARCHITECTURE.md says; the setting that its jobs need from then on."""
    store, folder = BucketEntries(address), shop.warehouse / LOG
    for path in folder.glob("*.json"):
        assert store.create(path.name, path.read_text(encoding="utf-8"), "move")
        path.unlink()
    assert store.create(OWNER, "moved by hand", "move")
    (folder / LOCATION).write_text(json.dumps({"address": address, "id": "moved by hand"}), encoding="utf-8")
    shop.log = SnapshotLog(shop.warehouse)
    return [f"paths.snapshot_log={address}"]


def test_row_04_forty_commits_at_once_leave_forty_whole_entries_in_the_object_store(bucket: str, tmp_path: Path) -> None:
    log = logged(tmp_path, f"{bucket}/shop")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: log.commit(EMPTY, "j", f"r{n}", {(f"d{n}", DAY): f"r{n}"}, {}), range(40)))
    assert log.numbers() == list(range(1, 41))
    assert dict(log.head().snapshots) == {(f"d{n}", DAY): f"r{n}" for n in range(40)}
    assert [path.name for path in (tmp_path / LOG).iterdir()] == [LOCATION]


def test_row_04_of_rivals_for_one_snapshot_in_the_object_store_exactly_one_wins(bucket: str, tmp_path: Path) -> None:
    def attempt(n: int) -> bool:
        try:
            logged(tmp_path, f"{bucket}/shop").commit(EMPTY, "j", f"r{n}", {("items", DAY): f"r{n}"}, {})
        except Fenced:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1
    assert SnapshotLog(tmp_path).numbers() == [1]


def test_row_04_a_write_whose_answer_was_lost_is_known_as_ones_own(bucket: str) -> None:
    store = BucketEntries(f"{bucket}/shop")
    assert store.write_if_absent("000001.json", "by run r1")
    assert store.create("000001.json", "by run r1", "r1")
    assert not store.create("000001.json", "by run r2", "r2")
    assert store.read("000001.json") == "by run r1"


def test_row_04_two_warehouses_never_share_a_log(bucket: str, tmp_path: Path) -> None:
    logged(tmp_path / "one", f"{bucket}/shop")
    for _ in range(2):
        with pytest.raises(ConfigError, match="keeps the log of another warehouse"):
            logged(tmp_path / "two", f"{bucket}/shop")
    assert not (tmp_path / "two" / LOG / LOCATION).exists()
    with pytest.raises(ConfigError, match=f"keeps its log in {bucket}/shop; expected that address"):
        logged(tmp_path / "one", f"{bucket}/elsewhere")
    assert logged(tmp_path / "one", f"{bucket}/shop").numbers() == []


@pytest.mark.parametrize("stage", ["before_commit", "during_commit", "after_commit"])
def test_row_01_a_publisher_killed_about_its_commit_to_the_object_store_has_published_all_or_nothing(
    shop: Shop, bucket: str, stage: str
) -> None:
    settings = moved(shop, f"{bucket}/shop")
    before, hits, hashes = shop.head(), shop.hits(), shop.hashes()
    code, said = shop.run("publish_release", "--fail-at", stage, more=(*SMALL, *settings))
    assert code == -signal.SIGKILL, said
    assert shop.head().number == before.number + (stage == "after_commit")
    assert shop.hits() == hits
    code, said = shop.run("publish_release", more=(*SMALL, *settings))
    assert code == 0, said
    assert (shop.hits(), shop.hashes()) == (hits, hashes)
    check_whole(shop)


def test_row_04_a_retry_that_overtakes_the_first_attempt_in_the_object_store_fences_it(shop: Shop, bucket: str) -> None:
    more = (*SMALL, *moved(shop, f"{bucket}/shop"))
    hits, hashes = shop.hits(), shop.hashes()
    first = shop.start("publish_release", "--fail-at", "during_commit:stop", more=more)
    wait_until_stopped(first.pid)
    code, said = shop.run("publish_release", more=more)
    assert code == 0, said
    overtaken = shop.head()
    os.kill(first.pid, signal.SIGCONT)
    code, said = finish(first)
    assert code == 4, said
    assert shop.head() == overtaken
    assert (shop.hits(), shop.hashes()) == (hits, hashes)
    check_whole(shop)


def test_row_04_a_store_that_cannot_be_reached_ends_a_job_with_one_sentence(shop: Shop, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = moved(shop, f"{bucket}/shop")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    code, said = shop.run("publish_release", more=(*SMALL, *settings))
    assert code == 1, said
    assert f"{bucket}/shop: Could not connect to the endpoint URL" in said
    assert "Traceback" not in said
