"""Row 5: a date that has been published runs again."""

from __future__ import annotations

import pytest

from tests.failures.shop import SMALL, Shop, check_whole


@pytest.mark.slow
def test_row_05_a_night_run_again_gives_the_same_content_in_runs_of_its_own(labelled: Shop) -> None:
    before, hashes = labelled.head(), labelled.hashes()
    code, said = labelled.run("run", "--from", "ingest_logs", "--to", "label_impressions", more=SMALL)
    assert code == 0, said
    assert labelled.hashes() == hashes
    written = {key for key, run in before.snapshots.items() if labelled.head().snapshots[key] != run}
    assert {name for name, _ in written} >= {"requests", "events", "ledger", "items"}
    check_whole(labelled)
