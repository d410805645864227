"""Conservation: whatever is changed by one record shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.ledger import Row, unaccounted
from schemas.quarantine import DISPOSITIONS

FILE, DAY = "dt=2026-01-01/queries.json", "2026-01-01"


def row(kind: str, disposition: str, records: int, file: str = FILE, derived: int = 0) -> Row:
    return {"file": file, "kind": kind, "disposition": disposition, "reason": "", "records": records, "derived": derived}


def committed(requests: int, events: int, quarantine: int) -> dict[str, dict[str, int]]:
    return {"requests": {DAY: requests}, "events": {DAY: events}, "quarantine": {DAY: quarantine}}


ROWS = [row("query", "accepted", 5), row("event", "accepted", 7), row("event", "duplicate", 2),
        row("query", "quarantined", 1), row("action", "merged", 4), row("event", "bot", 3)]


def test_a_ledger_that_agrees_with_files_and_outputs_leaves_nothing() -> None:
    assert unaccounted(ROWS, {FILE: 22}, committed(5, 7, 1)) == {DAY: 0}


def test_a_lost_line_a_lost_row_and_a_foreign_row_are_each_counted() -> None:
    assert unaccounted(ROWS, {FILE: 23}, committed(5, 7, 1)) == {DAY: 1}
    assert unaccounted(ROWS, {FILE: 22}, committed(4, 7, 1)) == {DAY: 1}
    assert unaccounted(ROWS, {FILE: 22}, committed(5, 9, 1)) == {DAY: 2}
    assert unaccounted(ROWS, {FILE: 22}, committed(5, 7, 0)) == {DAY: 1}


def test_a_file_without_any_ledger_row_and_a_day_without_any_file_are_seen() -> None:
    assert unaccounted([], {FILE: 3}, committed(0, 0, 0)) == {DAY: 3}
    assert unaccounted([], {}, committed(0, 0, 0)) == {DAY: 0}


def test_a_line_that_gave_several_records_is_counted_once_and_its_rows_all() -> None:
    order = [row("event", "accepted", 1, derived=2), row("event", "quarantined", 0, derived=1), row("query", "merged", 3)]
    assert unaccounted(order, {FILE: 4}, committed(0, 3, 1)) == {DAY: 0}
    assert unaccounted(order, {FILE: 7}, committed(0, 3, 1)) == {DAY: 3}
    assert unaccounted(order, {FILE: 4}, committed(0, 1, 1)) == {DAY: 2}


@given(counts=st.lists(st.integers(0, 9), min_size=len(DISPOSITIONS), max_size=len(DISPOSITIONS)),
       which=st.integers(0, len(DISPOSITIONS) - 1))
def test_one_record_more_under_any_disposition_never_adds_up(counts: list[int], which: int) -> None:
    rows = [row("event", d, n) for d, n in zip(DISPOSITIONS, counts)]
    there = dict(zip(DISPOSITIONS, counts))
    outputs = committed(0, there["accepted"], there["quarantined"])
    assert unaccounted(rows, {FILE: sum(counts)}, outputs) == {DAY: 0}
    rows[which]["records"] += 1
    assert unaccounted(rows, {FILE: sum(counts)}, outputs)[DAY] > 0
