"""Days reach the feed whole or not at all, wherever the move is cut short."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.market.delivery import PRODUCER, Scratch, publish_days

DAYS = ["2026-01-01", "2026-01-02"]
KINDS = ("queries", "events")


class Cut(BaseException):
    """Stands for a kill: nothing of ours runs after it."""


def unfinished(raw: Path, run_id: str, lines: int) -> Scratch:
    """A scratch folder with one written file per kind and day."""
    scratch = Scratch(raw, run_id)
    for kind in KINDS:
        for day in DAYS:
            folder = scratch.folder / kind / f"dt={day}"
            folder.mkdir(parents=True)
            (folder / "part-0.txt.gz").write_bytes(gzip.compress(f"{kind}\n".encode() * lines))
    return scratch


def whole(day: Path) -> int:
    """Lines of a day whose every file is as its manifest says; fails otherwise."""
    entries = json.loads((day / PRODUCER).read_text())["files"]
    assert sorted(e["path"] for e in entries) == sorted(p.name for p in day.iterdir() if p.name != PRODUCER)
    for entry in entries:
        body = (day / entry["path"]).read_bytes()
        assert len(body) == entry["bytes"]
        assert gzip.decompress(body).count(b"\n") == entry["rows"]
    return sum(e["rows"] for e in entries)


def test_every_day_gets_its_files_and_their_counts(spark: SparkSession, tmp_path: Path) -> None:
    totals = publish_days(spark, unfinished(tmp_path, "a", 3), tmp_path, KINDS, DAYS)
    assert totals == {"queries": 6, "events": 6}
    assert [whole(tmp_path / f"dt={day}") for day in DAYS] == [6, 6]


@pytest.mark.parametrize("renames", range(9))
def test_a_run_cut_short_leaves_old_days_new_days_or_none_but_no_half(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """Four renames gather the files, two more per day move the old day out and the new one in."""
    publish_days(spark, unfinished(tmp_path, "old", 1), tmp_path, KINDS, DAYS)
    scratch, done, rename = unfinished(tmp_path, "new", 3), [], Path.rename

    def counted(path: Path, target: Path) -> Path:
        if len(done) == renames:
            raise Cut
        done.append(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", counted)
    if renames < 8:
        with pytest.raises(Cut):
            publish_days(spark, scratch, tmp_path, KINDS, DAYS)
    else:
        publish_days(spark, scratch, tmp_path, KINDS, DAYS)
    found = {day: whole(tmp_path / f"dt={day}") for day in DAYS if (tmp_path / f"dt={day}").exists()}
    expected = {4: {"2026-01-01": 2, "2026-01-02": 2}, 5: {"2026-01-02": 2}, 6: {"2026-01-01": 6, "2026-01-02": 2},
                7: {"2026-01-01": 6}, 8: {"2026-01-01": 6, "2026-01-02": 6}}
    assert found == expected.get(renames, expected[4])


def test_the_scratch_folder_leaves_with_the_run_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), Scratch(tmp_path, "a") as scratch:
        (scratch.folder / "x").mkdir()
        raise ValueError("boom")
    assert list(tmp_path.iterdir()) == []
