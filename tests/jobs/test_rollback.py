"""Back to an earlier release: which one, and that it is the one that answers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from jobs.release_reader import open_release
from jobs.rollback import Kept, choose, rollback
from jobs.runtime.errors import InputError
from jobs.runtime.job import JobContext
from jobs.runtime.snapshots import SnapshotLog
from tests.jobs.published import DAY
from tests.jobs.released import copied, evaluate, release

KEPT = [
    Kept("2026-01-08", "c", "2026-01-09T02:00", in_force=True), Kept("2026-01-08", "b", "2026-01-09T01:00"),
    Kept("2026-01-07", "a", "2026-01-08T01:00"),
]


def asked(to: str | None = None, listed: bool = False) -> argparse.Namespace:
    return argparse.Namespace(to=to, list=listed)


def test_the_release_before_is_chosen_or_the_one_that_is_named() -> None:
    assert choose(KEPT, None).run == "b"
    assert choose(KEPT, "2026-01-07").run == choose(KEPT, "a").run == "a"
    assert choose(KEPT, "2026-01-08").run == "b"


@pytest.mark.parametrize(("kept", "wanted", "sentence"), [
    (KEPT, "2026-01-01", "no such release is kept; expected a run, or a day of 2026-01-08, 2026-01-07"),
    (KEPT, "c", "in force already"),
    (KEPT[:1], None, "no release before that of 2026-01-08"),
    (KEPT[1:], None, "no release is in force"),
])
def test_what_cannot_be_put_in_force_is_told(kept: list[Kept], wanted: str | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        choose(kept, wanted)


def test_back_and_forth_between_two_releases(
    spark: Any, released: JobContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = copied(released.config, tmp_path)
    first = SnapshotLog(shop.paths.warehouse).head().run("release", "2026-01-08")
    evaluate(spark, shop, recall=0.75)
    release(spark, shop)
    second = SnapshotLog(shop.paths.warehouse).head().run("release", "2026-01-08")
    assert second != first
    capsys.readouterr()
    rollback(shop, asked(listed=True))
    listing = capsys.readouterr().out.splitlines()
    assert listing[1].split()[:2] == ["2026-01-08", second] and listing[1].endswith("in force") and "@50 0.750" in listing[1]
    rollback(shop, asked())
    assert SnapshotLog(shop.paths.warehouse).head().run("release", "2026-01-08") == first
    assert open_release(shop).info["recall"][0]["recall"] == 0.70
    assert f"run {second} -> 2026-01-08 run {first}" in capsys.readouterr().out
    rollback(shop, asked(str(second)))
    assert open_release(shop).info["recall"][0]["recall"] == 0.75


def test_a_release_whose_parts_are_gone_is_not_put_in_force(
    spark: Any, released: JobContext, tmp_path: Path
) -> None:
    shop = copied(released.config, tmp_path)
    log = SnapshotLog(shop.paths.warehouse)
    first = log.head().run("release", "2026-01-08")
    evaluate(spark, shop, recall=0.75)
    release(spark, shop)
    before = log.head()
    run = before.run("index", "2026-01-08")
    (Path(shop.paths.warehouse) / "index" / f"dt={DAY}" / f"run={run}" / "shard-00000.faiss").unlink()
    with pytest.raises(InputError, match="shard-00000.faiss: missing"):
        rollback(shop, asked(str(first)))
    assert log.head().number == before.number
