"""Row 4: two nightly runs and a backfill at once, over days that they share."""

from __future__ import annotations

import re
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.failures.shop import DAY, SMALL, Shop, check_whole, end_group, finish

YESTERDAY = (date.fromisoformat(DAY) - timedelta(days=1)).isoformat()
NIGHT = ("--from", "ingest_logs", "--to", "label_impressions")
FENCED = 4
FENCE = re.compile(r"dt=\S+: (read as|was) run .*, now \S+ \(entry \d+\)")
RACED_FOR = {"requests", "events", "quarantine", "ledger", "attributions", "impressions"}
"""Not `items`: their numbers and `valid_from` say on which days the catalogue was read, and the backfill reads one day more."""
Hashes = dict[tuple[str, str], str]


@pytest.fixture
def unread(calm: Shop, tmp_path: Path) -> Shop:
    """The same feed, of which nothing is ingested yet."""
    shop = Shop(tmp_path / "shop")
    shutil.copytree(calm.folder / "raw", shop.folder / "raw")
    shutil.copy(calm.folder / "key", shop.folder / "key")
    return shop


def at_once(shop: Shop, *days: str) -> list[tuple[int, str]]:
    """Exit code and words of a night for each of the days, all started before any is waited for."""
    processes = [shop.start("run", *NIGHT, day=day, more=SMALL) for day in days]
    try:
        return [finish(process) for process in processes]
    finally:  # where one has run out of time the others would go on
        for process in processes:
            end_group(process)


def raced_for(shop: Shop) -> Hashes:
    """Content hash of what the three wrote, without the simulator's own datasets."""
    return {key: digest for key, digest in shop.hashes().items() if key[0] in RACED_FOR}


def check_losers_name_the_fence(ended: list[tuple[int, str]]) -> None:
    """Whoever did not publish says which day of which dataset a rival has replaced, and since when."""
    for code, said in ended:
        assert code in (0, FENCED), said
        assert code == 0 or FENCE.search(said), said


@pytest.mark.slow
def test_row_04_two_nights_and_a_backfill_at_once_leave_whole_entries_and_one_more_run_the_content_of_a_calm_shop(
    calm: Shop, unread: Shop
) -> None:
    ended = at_once(unread, DAY, DAY, YESTERDAY)
    check_losers_name_the_fence(ended)
    codes = [code for code, _ in ended]
    assert 0 in codes, ended
    assert FENCED in codes, "nobody met anybody"
    check_whole(unread)
    for day in (YESTERDAY, DAY):
        code, said = unread.run("run", *NIGHT, day=day, more=SMALL)
        assert code == 0, said
    check_whole(unread)
    wanted = raced_for(calm)
    assert {name for name, _ in wanted} == RACED_FOR
    assert {key: raced_for(unread).get(key) for key in wanted} == wanted
