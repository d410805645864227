"""The job as a whole: conservation, days together or one by one, what stops it."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.runtime.errors import Blocked, ConfigError, InputError
from jobs.runtime.job import JobContext
from jobs.runtime.snapshots import SnapshotLog
from tests.jobs.ingest_cases import D1, D2, D3, config_of, deliver, event, ingest, ledger_of, query

OUTPUTS = ("requests", "events", "quarantine", "ledger")


def day_of_a_shop(day: str) -> list[dict[str, Any] | str]:
    """Some searches with their clicks, a twice-logged one, bad lines, and a scraper."""
    found: list[dict[str, Any] | str] = ["{broken", {"level": "debug"}]
    for n in range(6):
        at = f"{day}T1{n}:0{n}"
        found += [
            query(f"{day}-{n}", f"Text {n % 3} anna@example.com", f"{at}:00Z", client_id=f"c{n}", query_attributes={"user_id": f"u{n}"}),
            event("impression", f"p{n}", f"{at}:10Z", f"{day}-i{n}", query_id=f"{day}-{n}", client_id=f"c{n}"),
            event("click", f"p{n}", f"{at}:20Z", query_id=f"{day}-{n}", client_id=f"c{n}"),
        ]
    found += [query(f"{day}-0", None, f"{day}T10:00:01Z", client_id="c0", query_attributes={"session_id": "s0"})]
    found += [query(f"{day}-b{n}", f"item {n}", f"{day}T03:0{n // 6}:{n % 6}0Z", client_id="scraper") for n in range(30)]
    return found


def shop(root: Path) -> None:
    """Three arrival days; the second and third repeat events of the days before, one of them from a bot's day."""
    for day in (D1, D2, D3):
        records = day_of_a_shop(day)
        deliver(root, day, "queries-0.json.gz", [r for r in records if isinstance(r, dict) and "user_query" in r])
        deliver(root, day, "events-0.json", [r for r in records if not (isinstance(r, dict) and "user_query" in r)])
    repeats = [r for r in day_of_a_shop(D1) if isinstance(r, dict) and "action_name" in r][:3]
    late = event(ts="2025-12-20T10:00:00Z", event_id="old")
    deliver(root, D2, "events-1.json", [*repeats, late])
    deliver(root, D3, "events-1.json", [*repeats, {"index": {"_index": "ubi_events"}}, event("hover")])


def hashes(context: JobContext, days: list[str]) -> dict[tuple[str, str], str]:
    return {(d, day): context.outputs[d, day].content_hash for d in OUTPUTS for day in days}


@pytest.fixture(scope="module")
def together(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    root = tmp_path_factory.mktemp("together")
    shop(root)
    return ingest(spark, config_of(root, catch_up_days=2), D3)


def test_every_record_has_one_disposition_and_the_sums_agree_with_the_files(together: JobContext) -> None:
    for day in (D1, D2, D3):
        ledger = ledger_of(together, day)
        by_disposition: Counter[str] = Counter()
        for (kind, disposition, _), n in ledger.items():
            by_disposition[f"{disposition} {kind}" if disposition == "accepted" else disposition] += n
        assert together.outputs["ledger", day].metrics["unaccounted_records"] == 0
        assert by_disposition["accepted query"] == together.outputs["requests", day].rows == 6
        assert by_disposition["accepted event"] == together.outputs["events", day].rows == 12
        assert by_disposition["quarantined"] == together.outputs["quarantine", day].rows
        assert by_disposition["bot"] == 30
    assert ledger_of(together, D3)["action", "merged", "bulk_action"] == 1
    assert ledger_of(together, D3)["event", "quarantined", "unknown_action"] == 1
    assert ledger_of(together, D2)["event", "too_late", "late_days"] == 1
    for day in (D2, D3):
        assert sum(n for (_, d, _), n in ledger_of(together, day).items() if d == "duplicate") == 3


def test_what_is_published_names_nobody_and_is_normalised(together: JobContext) -> None:
    rows = together.written("requests", [D1]).collect()
    assert {r["query_text"] for r in rows} == {f"Text {n} <email>" for n in range(3)}
    assert {r["query_norm"] for r in rows} == {f"text {n} <email>" for n in range(3)}
    assert {(len(r["user_key"]), r["key_id"]) for r in rows} == {(64, "k1")}
    first = next(r for r in rows if r["query_id"] == f"{D1}-0")
    assert (first["sources"], first["session_id"]) == (2, "s0")
    refused = together.written("quarantine", [D1]).collect()
    assert {(r["file"], r["line"], r["reason"], r["excerpt"]) for r in refused} == {
        (f"dt={D1}/events-0.json", 1, "not_json", "{broken"), (f"dt={D1}/events-0.json", 2, "missing_action", '{"level": "debug"}')
    }


def test_day_by_day_gives_the_same_content_as_all_at_once(spark: SparkSession, together: JobContext, tmp_path: Path) -> None:
    shop(tmp_path)
    found: dict[tuple[str, str], str] = {}
    for day in (D1, D2, D3):
        found |= hashes(ingest(spark, config_of_same_key(tmp_path, together), day), [day])
    assert found == hashes(together, [D1, D2, D3])


def config_of_same_key(root: Path, other: JobContext) -> Any:
    config = config_of(root)
    Path(config.ingest.user_key_file).write_text(Path(other.config.ingest.user_key_file).read_text())
    return config


def test_a_day_ingested_again_is_the_same_and_a_missing_key_stops_it(spark: SparkSession, tmp_path: Path) -> None:
    deliver(tmp_path, D1, "ubi.json", day_of_a_shop(D1))
    config = config_of(tmp_path)
    first, again = (hashes(ingest(spark, config, D1), [D1]) for _ in range(2))
    assert first == again
    assert not list((tmp_path / "warehouse").glob("*/_staging-*"))
    Path(config.ingest.user_key_file).unlink()
    with pytest.raises(ConfigError, match="ingest.user_key_file"):
        ingest(spark, config, D1)
    assert SnapshotLog(tmp_path / "warehouse").numbers() == [1, 2]


def test_an_empty_day_is_published_only_on_request(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "raw" / f"dt={D1}").mkdir(parents=True)
    with pytest.raises(Blocked, match=f"dt={D1}: no raw file"):
        ingest(spark, config_of(tmp_path), D1)
    context = ingest(spark, config_of(tmp_path), D1, allow_empty=True)
    assert {m.rows for m in context.outputs.values()} == {0}
    assert len(context.outputs) == 4


def broken(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 6])


def flipped(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[-6] ^= 0xFF  # in the checksum
    path.write_bytes(bytes(whole))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("injury", [broken, flipped, emptied])
def test_a_gz_file_that_cannot_be_read_whole_is_named_and_nothing_is_published(
    spark: SparkSession, tmp_path: Path, injury: Any
) -> None:
    deliver(tmp_path, D1, "queries-0.json.gz", day_of_a_shop(D1))
    injury(deliver(tmp_path, D1, "queries-1.json.gz", [query(f"x{n}") for n in range(2000)]))
    with pytest.raises(InputError, match="queries-1.json.gz: "):
        ingest(spark, config_of(tmp_path), D1)
    assert SnapshotLog(tmp_path / "warehouse").numbers() == []


def test_a_producer_that_promised_other_rows_blocks_the_day(spark: SparkSession, tmp_path: Path) -> None:
    path = deliver(tmp_path, D1, "queries-0.json.gz", [query("a"), query("b")])
    promised = f'{{"files": [{{"path": "queries-0.json.gz", "bytes": {path.stat().st_size}, "rows": 3}}]}}'
    (path.parent / "_PRODUCER.json").write_text(promised)
    with pytest.raises(Blocked, match="queries-0.json.gz: has 2 rows; _PRODUCER.json promises 3"):
        ingest(spark, config_of(tmp_path), D1)
    assert gzip.decompress(path.read_bytes()).count(b"\n") == 2


def test_days_too_far_back_are_left_to_whoever_asks_for_them(spark: SparkSession, tmp_path: Path) -> None:
    deliver(tmp_path, D1, "ubi.json", [query("a"), event(query_id="a")])
    deliver(tmp_path, D3, "ubi.json", [query("b", ts=f"{D3}T10:00:00Z")])
    context = ingest(spark, config_of(tmp_path, catch_up_days=1), D3)
    assert {day for _, day in context.outputs} == {D3}
