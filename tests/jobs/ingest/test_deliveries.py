"""Which files are read, and what their producer promised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.ingest.deliveries import PRODUCER, check_rows, find_deliveries
from jobs.runtime.errors import Blocked, InputError
from tests.jobs.ingest_cases import D1, D2, D3, deliver, query

PATTERNS = ("queries*", "events*")


def promise(root: Path, day: str, **files: tuple[int, int]) -> None:
    listed = [{"path": name.replace("_", "-", 1) + ".json", "bytes": b, "rows": r} for name, (b, r) in files.items()]
    (root / "raw" / f"dt={day}" / PRODUCER).write_text(json.dumps({"files": listed}))


def test_only_files_of_the_named_patterns_and_kinds_are_taken(tmp_path: Path) -> None:
    for name in ("queries-1.json", "queries-2.json.gz", "events.ndjson", "catalogue-1.json", "queries.tmp"):
        deliver(tmp_path, D1, name, [query()])
    [found] = find_deliveries(tmp_path / "raw", D1, [], PATTERNS)
    assert [f.name for f in found.files] == [
        f"dt={D1}/events.ndjson", f"dt={D1}/queries-1.json", f"dt={D1}/queries-2.json.gz"
    ]


def test_earlier_days_join_where_they_have_files(tmp_path: Path) -> None:
    deliver(tmp_path, D1, "queries.json", [query()])
    deliver(tmp_path, D3, "queries.json", [query()])
    assert [d.day for d in find_deliveries(tmp_path / "raw", D3, [D1, D2], PATTERNS)] == [D1, D3]


def test_a_missing_root_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="paths.raw = .*no such folder"):
        find_deliveries(tmp_path / "raw", D1, [], PATTERNS)


def test_a_day_without_files_is_blocked_and_its_folder_named(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(Blocked, match=f"dt={D1}: no such folder"):
        find_deliveries(tmp_path / "raw", D1, [], PATTERNS)
    (tmp_path / "raw" / f"dt={D1}").mkdir()
    with pytest.raises(Blocked, match=f"dt={D1}: no raw file"):
        find_deliveries(tmp_path / "raw", D1, [], PATTERNS)
    [empty] = find_deliveries(tmp_path / "raw", D1, [], PATTERNS, allow_empty=True)
    assert empty.files == ()


def test_a_kept_promise_passes_and_its_rows_are_checked_later(tmp_path: Path) -> None:
    size = deliver(tmp_path, D1, "queries-1.json", [query()]).stat().st_size
    promise(tmp_path, D1, queries_1=(size, 1))
    found = find_deliveries(tmp_path / "raw", D1, [], PATTERNS)
    check_rows(found, {f"dt={D1}/queries-1.json": 1})
    with pytest.raises(Blocked, match="has 0 rows; _PRODUCER.json promises 1"):
        check_rows(found, {})


@pytest.mark.parametrize(("bytes_there", "sentence"), [(b"", "has 0 bytes; .* promises 9"), (b"12345", "has 5 bytes")])
def test_a_file_of_another_size_is_blocked(tmp_path: Path, bytes_there: bytes, sentence: str) -> None:
    deliver(tmp_path, D1, "queries-1.json", []).write_bytes(bytes_there)
    promise(tmp_path, D1, queries_1=(9, 1))
    with pytest.raises(Blocked, match=f"queries-1.json: {sentence}"):
        find_deliveries(tmp_path / "raw", D1, [], PATTERNS)


def test_a_promised_file_that_is_missing_and_one_nobody_promised_are_blocked(tmp_path: Path) -> None:
    size = deliver(tmp_path, D1, "queries-1.json", [query()]).stat().st_size
    promise(tmp_path, D1, queries_1=(size, 1), events_1=(10, 1))
    with pytest.raises(Blocked, match="events-1.json: missing"):
        find_deliveries(tmp_path / "raw", D1, [], PATTERNS)
    promise(tmp_path, D1)
    with pytest.raises(Blocked, match="queries-1.json: not named"):
        find_deliveries(tmp_path / "raw", D1, [], PATTERNS)


def test_a_list_that_is_no_list_is_an_input_error(tmp_path: Path) -> None:
    deliver(tmp_path, D1, "queries-1.json", [query()])
    (tmp_path / "raw" / f"dt={D1}" / PRODUCER).write_text('{"files": [1]}')
    with pytest.raises(InputError, match="not a producer's list"):
        find_deliveries(tmp_path / "raw", D1, [], PATTERNS)
