"""What `mmse gc` removes for its age, and what the configuration must agree on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.runtime.config import Config, load_config
from jobs.runtime.errors import ConfigError, Fenced
from jobs.runtime.retention import collect, sentences
from jobs.runtime.snapshots import EMPTY, SnapshotLog

NOW = 100 * 86_400.0
DAYS = ("2026-01-01", "2026-01-02", "2026-03-02")
"""The newest is 60 days after the first and 59 after the second."""


def config_in(root: Path, **retention: object) -> Config:
    paths = {name: str(root / name) for name in ("raw", "warehouse", "reports")}
    key = {"user_key_file": str(root / "key")}
    return Config.model_validate({"paths": paths, "ingest": key, "retention": retention, "snapshots": {"keep_entries": 1}})


def file_in(folder: Path, age_days: float) -> Path:
    """A folder with one file of ten bytes, last written so long ago."""
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"0123456789")
    for path in (folder / "a", folder):
        os.utime(path, (NOW - age_days * 86_400,) * 2)
    return folder


def publish_days(warehouse: Path) -> SnapshotLog:
    log = SnapshotLog(warehouse)
    names = ("requests", "events", "quarantine", "ledger", "impressions")
    log.commit(EMPTY, "a", "r", {(name, day): "r" for name in names for day in DAYS}, {})
    return log


def test_days_past_their_retention_leave_the_log_and_their_files_go(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    log = publish_days(tmp_path / "warehouse")
    runs = {(n, d): file_in(tmp_path / "warehouse" / n / f"dt={d}" / "run=r", 50) for n in ("requests", "ledger") for d in DAYS}
    done = collect(config, NOW)
    assert done.retired == tuple((name, DAYS[0]) for name in ("events", "quarantine", "requests"))
    assert log.head().days("requests") == list(DAYS[1:])
    assert log.head().days("ledger") == log.head().days("impressions") == list(DAYS)
    assert [key for key, folder in runs.items() if not folder.exists()] == [("requests", DAYS[0])]
    assert sentences(config, done)[0].endswith(
        "out of the log: events 2026-01-01 to 2026-01-01, quarantine 2026-01-01 to 2026-01-01, requests 2026-01-01 to 2026-01-01"
    )
    assert collect(config, NOW).retired == ()
    assert log.numbers() == [1, 2]


def test_a_kept_entry_still_holds_the_files_and_a_reader_of_the_day_is_fenced(tmp_path: Path) -> None:
    config = config_in(tmp_path).model_copy(update={"snapshots": Config().snapshots})
    log = publish_days(tmp_path / "warehouse")
    folder = file_in(tmp_path / "warehouse" / "requests" / f"dt={DAYS[0]}" / "run=r", 50)
    base = log.head()
    assert collect(config, NOW).retired
    assert folder.exists()
    with pytest.raises(Fenced, match="requests dt=2026-01-01: read as run r, now None"):
        log.commit(base, "b", "r2", {("model", DAYS[2]): "r2"}, {("requests", DAYS[0]): "r"})


def test_scratch_and_raw_days_have_a_time_to_live(tmp_path: Path) -> None:
    old = file_in(tmp_path / "warehouse" / "ledger" / "_staging-r-records", 1.1)
    writing = file_in(tmp_path / "warehouse" / "tuples" / "_staging-r", 1.1)
    (writing / "late").write_bytes(b"")
    os.utime(writing / "late", (NOW - 60, NOW - 60))
    unfinished = file_in(tmp_path / "raw" / "_unfinished-r", 2)
    raw = [file_in(tmp_path / "raw" / f"dt=2026-01-0{n}", age) for n, age in ((1, 31), (2, 29))]
    done = collect(config_in(tmp_path, raw_days=30), NOW)
    assert [folder for folder, _ in done.scratch] == [unfinished, old]
    assert done.raw == [(raw[0], 10)]
    assert (writing.exists(), raw[1].exists(), raw[0].exists()) == (True, True, False)
    assert sentences(config_in(tmp_path), done)[-1] == (
        "gc: removed 0 runs, 0.0 MB, 2 scratch folders, 0.0 MB, 1 raw days, 0.0 MB"
    )


def test_raw_days_stay_where_they_are_the_producers(tmp_path: Path) -> None:
    raw = file_in(tmp_path / "raw" / "dt=2026-01-01", 5_000)
    assert collect(config_in(tmp_path), NOW).raw == []
    assert raw.exists()


@pytest.mark.parametrize(("age", "due"), [(181, 181.0), (179, None)])
def test_a_key_that_is_due_is_named(tmp_path: Path, age: float, due: float | None) -> None:
    config = config_in(tmp_path)
    (tmp_path / "key").write_text("00" * 32)
    os.utime(tmp_path / "key", (NOW - age * 86_400,) * 2)
    done = collect(config, NOW)
    assert done.key_days == due
    assert any("key k1 is 181 days old" in line for line in sentences(config, done)) == (due is not None)


@pytest.mark.parametrize(("override", "said"), [
    ("retention.people_days=27", r"c\.yaml: retention\.people_days = 27: expected at least 28"),
    ("ingest.catch_up_days=90", r"retention\.people_days = 60: expected at least 95"),
    ("ingest.key_rotation_days=88", r"key_rotation_days = 88: expected more than .* = 28 \+ 60"),
    ("ingest.retired_keys={k1: old}", r"ingest\.retired_keys: names 'k1', which is ingest\.key_id"),
])
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, override: str, said: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("")
    with pytest.raises(ConfigError, match=said):
        load_config(path, [override])
    assert load_config(path, ["ingest.key_rotation_days=89"]).ingest.key_rotation_days == 89
