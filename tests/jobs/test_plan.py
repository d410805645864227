"""What a scheduler is told before it submits a date's jobs, and how the jobs of its run read each other's commits."""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from jobs.plan import delivered, plan
from jobs.runtime.config import Config
from jobs.runtime.errors import ConfigError
from jobs.runtime.job import Job, run_job
from jobs.runtime.main import pinned_entry
from jobs.runtime.snapshots import EMPTY, SnapshotLog
from tests.jobs.published import config_in

METRICS = {"parameters_not_finite": 0.0, "validation_recall": 0.5, "last_loss": 1.0}


def planned(config: Config, day: str, capsys: pytest.CaptureFixture) -> dict[str, Any]:
    assert plan(config, date.fromisoformat(day)) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_day_is_delivered_once_a_file_lies_there(tmp_path: Path) -> None:
    assert not delivered(tmp_path, "2026-01-08")
    (tmp_path / "dt=2026-01-08").mkdir()
    assert not delivered(tmp_path, "2026-01-08")
    (tmp_path / "dt=2026-01-08" / "events.jsonl").touch()
    assert delivered(tmp_path, "2026-01-08")


def test_of_a_producer_that_lists_its_files_the_list_is_waited_for(tmp_path: Path) -> None:
    for day in ("2026-01-07", "2026-01-08"):
        (tmp_path / f"dt={day}").mkdir()
        (tmp_path / f"dt={day}" / "events.jsonl").touch()
    (tmp_path / "dt=2026-01-07" / "_PRODUCER.json").touch()
    assert not delivered(tmp_path, "2026-01-08")
    (tmp_path / "dt=2026-01-08" / "_PRODUCER.json").touch()
    assert delivered(tmp_path, "2026-01-08")


def test_a_new_shop_trains_and_a_week_later_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = config_in(tmp_path)
    assert planned(config, "2026-01-08", capsys) == {
        "delivered": False, "entry": 0, "kind": "train", "reports": str(tmp_path / "reports"),
    }
    give_model = Job("given", (), ("model",), lambda c: c.write_files(
        "model", lambda folder: (folder / "model.json").touch(), facts={"trained": c.dt}, metrics=METRICS) and None)
    run_job(give_model, config, date(2026, 1, 8))
    days = ("2026-01-08", "2026-01-09", "2026-01-14", "2026-01-15")
    assert [planned(config, day, capsys)["kind"] for day in days] == ["train", "delta", "delta", "train"]
    assert planned(config, "2026-01-09", capsys)["entry"] == 1


def test_the_jobs_of_a_chain_read_what_the_chain_published_and_nothing_later_of_others(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    log.commit(EMPTY, "a", "r1", {("items", "2026-01-07"): "r1"}, {})
    log.commit(EMPTY, "a", "r2", {("items", "2026-01-08"): "r2"}, {}, chain="night")
    log.commit(EMPTY, "a", "r3", {("items", "2026-01-06"): "r3"}, {}, chain="backfill")
    assert log.newest_of("night", since=1).number == 2
    assert log.newest_of("night", since=2).number == 2
    assert log.newest_of("other", since=1).number == 1
    assert log.newest_of("other", since=0) == EMPTY


def test_a_chain_is_told_where_it_began(tmp_path: Path) -> None:
    log = SnapshotLog(tmp_path)
    log.commit(EMPTY, "a", "r1", {("items", "2026-01-07"): "r1"}, {}, chain="night")
    pinned = {(entry, chain): pinned_entry(log, argparse.Namespace(entry=entry, chain=chain))
              for entry, chain in ((None, ""), (0, ""), (0, "night"), (0, "backfill"))}
    numbers = {key: None if entry is None else entry.number for key, entry in pinned.items()}
    assert numbers == {(None, ""): None, (0, ""): 0, (0, "night"): 1, (0, "backfill"): 0}
    with pytest.raises(ConfigError, match="--chain 'night': expected with --entry"):
        pinned_entry(log, argparse.Namespace(entry=None, chain="night"))
