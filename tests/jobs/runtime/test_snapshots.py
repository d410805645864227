"""The snapshot log: one winner per entry, losers fenced or retried, garbage collected with grace."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.runtime.errors import Fenced, InputError
from jobs.runtime.gc import collect_garbage
from jobs.runtime.sections import SnapshotSettings
from jobs.runtime.snapshots import EMPTY, SnapshotLog

DAY = "2026-01-08"


def test_an_empty_warehouse_has_entry_zero(tmp_path: Path) -> None:
    assert SnapshotLog(tmp_path).head() == EMPTY


def test_a_commit_adds_to_what_stood_before(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    first = log.commit(EMPTY, "a", "r1", {("items", DAY): "r1"}, {})
    second = log.commit(first, "b", "r2", {("model", DAY): "r2"}, {("items", DAY): "r1"})
    assert (first.number, second.number) == (1, 2)
    assert dict(log.head().snapshots) == {("items", DAY): "r1", ("model", DAY): "r2"}
    assert dict(log.head().changes) == {("model", DAY): "r2"}


def test_a_run_whose_input_was_replaced_meanwhile_is_fenced(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    base = log.commit(EMPTY, "a", "r1", {("items", DAY): "r1"}, {})
    log.commit(base, "a", "r2", {("items", DAY): "r2"}, {})
    with pytest.raises(Fenced, match="items dt=2026-01-08: read as run r1, now r2"):
        log.commit(base, "b", "r3", {("model", DAY): "r3"}, {("items", DAY): "r1"})
    assert log.numbers() == [1, 2]


def test_a_run_whose_output_was_replaced_meanwhile_is_fenced(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    log.commit(EMPTY, "a", "r1", {("items", DAY): "r1"}, {})
    with pytest.raises(Fenced, match="was run None when this run began, now r1"):
        log.commit(EMPTY, "a", "r2", {("items", DAY): "r2"}, {})


def test_a_rival_that_touches_something_else_only_costs_a_new_number(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    log.commit(EMPTY, "a", "r1", {("items", DAY): "r1"}, {})
    entry = log.commit(EMPTY, "b", "r2", {("model", DAY): "r2"}, {})
    assert entry.number == 2
    assert dict(entry.snapshots) == {("items", DAY): "r1", ("model", DAY): "r2"}


def test_forty_commits_at_once_leave_forty_whole_entries_and_lose_none(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: log.commit(EMPTY, "j", f"r{n}", {(f"d{n}", DAY): f"r{n}"}, {}), range(40)))
    assert log.numbers() == list(range(1, 41))
    assert dict(log.head().snapshots) == {(f"d{n}", DAY): f"r{n}" for n in range(40)}
    assert [p.name for p in (tmp_path / "_log").iterdir() if p.name.startswith(".")] == []


def test_of_rivals_for_one_snapshot_exactly_one_wins(tmp_path: Path) -> None:
    def attempt(n: int) -> bool:
        try:
            SnapshotLog(tmp_path).commit(EMPTY, "j", f"r{n}", {("items", DAY): f"r{n}"}, {})
        except Fenced:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1
    assert SnapshotLog(tmp_path).numbers() == [1]


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    log.commit(EMPTY, "a", "r1", {("items", DAY): "r1"}, {})
    (tmp_path / "_log" / "000001.json").write_text("{")
    with pytest.raises(InputError, match=r"000001\.json: not an entry"):
        log.head()


def test_an_object_store_is_refused_with_a_sentence() -> None:
    with pytest.raises(InputError, match="expected a path on a local or shared disk"):
        SnapshotLog("s3://bucket/warehouse")


def make_run(root: Path, dataset: str, run: str, age_hours: float) -> Path:
    folder = root / dataset / f"dt={DAY}" / f"run={run}"
    folder.mkdir(parents=True)
    (folder / "part.parquet").write_bytes(b"12345")
    stamp = 1_000_000 - age_hours * 3600
    os.utime(folder, (stamp, stamp))
    return folder


def test_gc_removes_only_runs_that_are_unnamed_and_old(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    named = make_run(tmp_path, "items", "r1", age_hours=100)
    orphan = make_run(tmp_path, "items", "killed", age_hours=100)
    young = make_run(tmp_path, "items", "under-way", age_hours=1)
    log.commit(EMPTY, "a", "r1", {("items", DAY): "r1"}, {})
    removed = collect_garbage(tmp_path, SnapshotSettings(keep_entries=1, grace_hours=24), now=1_000_000)
    assert removed == [(orphan, 5)]
    assert named.exists()
    assert young.exists()


def test_gc_keeps_the_runs_of_the_last_entries(tmp_path: Path) -> None:
    log, entry = SnapshotLog(tmp_path), EMPTY
    folders = [make_run(tmp_path, "items", f"r{n}", age_hours=100) for n in range(3)]
    for n in range(3):
        entry = log.commit(entry, "a", f"r{n}", {("items", DAY): f"r{n}"}, {})
    collect_garbage(tmp_path, SnapshotSettings(keep_entries=2, grace_hours=0), now=1_000_000)
    assert [f.exists() for f in folders] == [False, True, True]


def test_an_entry_is_plain_json_that_people_can_read(tmp_path: Path) -> None:
    SnapshotLog(tmp_path).commit(EMPTY, "a", "r1", {("items", DAY): "r1"}, {})
    body = json.loads((tmp_path / "_log" / "000001.json").read_text())
    assert body["snapshots"] == {"items": {DAY: "r1"}}


KEY = ("requests", DAY)


def test_older_entries_are_read_through_what_was_rewritten_since(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    log.commit(log.commit(EMPTY, "a", "r1", {KEY: "r1"}, {}), "a", "r2", {KEY: "r2"}, {})
    first = log.rewrite(log.head(), "forget", "f1", {("erasures", "always"): "f1"}, {KEY: {"r1": "r1.e", "r2": "r2.e"}}, 10)
    assert first is not None
    assert [log.entry(n).run(*KEY) for n in (1, 2, 3)] == ["r1.e", "r2.e", "r2.e"]
    assert dict(first.changes) == {KEY: "r2.e", ("erasures", "always"): "f1"}
    later = log.commit(log.head(), "b", "m", {("model", DAY): "m"}, {KEY: "r2.e"})
    assert log.rewrite(later, "forget", "f2", {}, {KEY: {"r1.e": "r1.f"}}, 10) is not None
    assert [log.entry(n).run(*KEY) for n in (1, 2, 4, 5)] == ["r1.f", "r2.e", "r2.e", "r2.e"]
    with pytest.raises(Fenced, match="read as run r2, now r2.e"):
        log.commit(first, "b", "m2", {}, {KEY: "r2"})


def test_a_rewriting_that_a_rival_was_faster_than_publishes_nothing(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    head = log.commit(EMPTY, "a", "r1", {KEY: "r1"}, {})
    log.commit(head, "a", "x", {("items", DAY): "x"}, {})
    assert log.rewrite(head, "forget", "f", {}, {KEY: {"r1": "r1.e"}}, 10) is None
    assert log.entry(1).run(*KEY) == "r1"


def test_rewritings_that_no_kept_entry_is_read_through_are_dropped(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    entry = log.commit(EMPTY, "a", "r1", {KEY: "r1"}, {})
    for n in range(3):
        rewritten = log.rewrite(entry, "forget", f"f{n}", {}, {KEY: {str(entry.run(*KEY)): f"r1.e{n}"}}, 2)
        assert rewritten is not None
        entry = rewritten
    assert log.head().replaced[KEY] == {"r1.e0": "r1.e2", "r1.e1": "r1.e2"}


def test_an_input_that_was_not_there_fences_once_it_is(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    log.commit(EMPTY, "a", "r1", {("items", DAY): "r1"}, {("suppressions", "always"): ""})
    log.commit(log.head(), "forget", "s", {("suppressions", "always"): "s"}, {})
    with pytest.raises(Fenced, match="suppressions dt=always: read as run None, now s"):
        log.commit(log.entry(1), "a", "r2", {("items", DAY): "r2"}, {("suppressions", "always"): ""})
