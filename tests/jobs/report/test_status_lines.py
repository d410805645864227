"""`mmse status` in lines."""

from __future__ import annotations

from pathlib import Path

from jobs.report.status import aligned, status_lines
from tests.jobs.report.shop import config_in, publish


def test_an_empty_warehouse_says_what_to_do(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    assert status_lines(config) == [f"nothing is published in {config.paths.warehouse}; try: mmse demo"]


def test_every_dataset_has_a_line_about_its_newest_day(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    publish(config, "requests", dt="2026-01-07", rows=11, job="ingest_logs")
    publish(config, "requests", dt="2026-01-08", rows=1234, run_id="run-2", job="ingest_logs")
    publish(config, "model", dt="2026-01-07", job="train_model")
    lines = status_lines(config)
    assert "entry 3" in lines[0]
    assert lines[1] == "no release in force"
    assert [line.split() for line in lines[4:]] == [
        ["model", "1", "2026-01-07", "0", "2026-01-09", "03:04", "train_model", "run-1"],
        ["requests", "2", "2026-01-08", "1,234", "2026-01-09", "03:04", "ingest_logs", "run-2"],
    ]


def test_the_release_in_force_is_the_newest_published_one(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    publish(config, "release", dt="2026-01-01", run_id="old")
    publish(config, "release", dt="2026-01-08", run_id="new")
    assert status_lines(config)[1] == "release in force: 2026-01-08, run new, written 2026-01-09 03:04"


def test_numbers_stand_right_and_words_left() -> None:
    assert list(aligned([("dataset", "rows"), ("a", "1"), ("bb", "1,000")])) == [
        "dataset   rows", "a            1", "bb       1,000",
    ]
