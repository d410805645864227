"""The mapping adapter: one log in four ways is one content; nothing is lost, guessed or silently made null."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession

from jobs.adapters import layouts_of
from jobs.adapters.mapping import TOLERANCES, to_records
from jobs.ingest.deliveries import find_deliveries
from jobs.ingest.lines import read_lines
from jobs.ingest.staging import stage
from jobs.runtime.errors import ConfigError, InputError
from jobs.runtime.job import JobContext
from jobs.runtime.sections import IngestSettings
from tests.jobs.adapters import mapped_log as log
from tests.jobs.ingest_cases import D1, config_of, ingest, lines_of

ONE_KEY = "ab" * 32


def run(spark: SparkSession, root: Path, write: Callable[[Path], None], **settings: Any) -> JobContext:
    write(root)
    config = config_of(root, **settings)
    Path(config.ingest.user_key_file).write_text(ONE_KEY)
    return ingest(spark, config, D1)


@pytest.fixture(scope="module")
def as_ubi(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    return run(spark, tmp_path_factory.mktemp("ubi"), log.write_ubi)


@pytest.fixture(scope="module")
def mapped(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    """The same records, a third of them in each of the formats."""
    def write(root: Path) -> None:
        for one in (log.write_json, log.write_csv, log.write_parquet):
            one(root)

    sources = [*log.JSON_SOURCES, *log.CSV_SOURCES, *log.PARQUET_SOURCES]
    return run(spark, tmp_path_factory.mktemp("mapped"), write, adapter="mapping", mapping={"sources": sources})


def test_the_same_records_as_json_csv_and_parquet_have_the_content_of_ubi(as_ubi: JobContext, mapped: JobContext) -> None:
    for name, rows in (("requests", 15), ("events", 12)):
        assert mapped.outputs[name, D1].rows == rows
        assert mapped.outputs[name, D1].content_hash == as_ubi.outputs[name, D1].content_hash


def by_format(context: JobContext) -> dict[str, Counter[tuple[str, str, str]]]:
    """Records of each format by (kind, disposition, reason), from the committed ledger."""
    formats = {"log-0.ndjson.gz": "json", "searches.csv.gz": "csv", "actions.tsv": "csv"}
    found: dict[str, Counter[tuple[str, str, str]]] = {name: Counter() for name in log.FORMATS}
    for row in context.written("ledger", [D1]).collect():
        name = row["file"].rpartition("/")[2]
        found[formats.get(name, "parquet")][row["kind"], row["disposition"], row["reason"]] += row["records"]
    return found


def test_every_record_of_every_format_has_one_disposition(as_ubi: JobContext, mapped: JobContext) -> None:
    records = {
        ("query", "accepted", ""): 5, ("query", "quarantined", "bad_timestamp"): 1, ("query", "duplicate", "same_record"): 1,
        ("event", "accepted", ""): 4, ("event", "quarantined", "missing_object_id"): 1, ("event", "quarantined", "unknown_action"): 1,
        ("event", "quarantined", "out_of_range"): 1, ("event", "duplicate", "event_id"): 1,
    }
    assert by_format(mapped) == {"json": records, "csv": {**records, ("header", "merged", "header_line"): 2}, "parquet": records}
    assert {key: n // 3 for key, n in by_format(as_ubi)["parquet"].items()} == records
    ledger = mapped.outputs["ledger", D1]
    assert ledger.metrics["unaccounted_records"] == 0
    assert ledger.facts["raw_lines"] == 3 * (len(log.searches("x")) + len(log.actions("x"))) + 2
    # Of CSV: 14 of 15 records have a time, 6 requests no sort, 6 events no quantity. Of JSON: positions from 0.
    assert ledger.facts["tolerances"] == {"null_text": 12, "position_from_zero": 8, "zoneless_time": 14}


def test_refused_records_show_nobody(mapped: JobContext) -> None:
    refused = mapped.written("quarantine", [D1]).collect()
    assert len(refused) == 12
    people = [f'"{p}' for name in log.FORMATS for p in (f"{name}-s", f"{name}-c", f"u-{name}")]
    assert not [r["excerpt"] for r in refused if any(person in r["excerpt"] for person in people)]
    assert sum("<hidden>" in r["excerpt"] for r in refused) == 12


def test_what_a_rule_rescued_is_counted(spark: SparkSession) -> None:
    ts = f"{D1}T10:00:00"
    documents = [
        {"id": "a", "t": 1767261600, "q": "x", "hits": ["p1", " ", None]}, {"id": "b", "t": "1767261600000", "q": "NULL", "s": " "},
        {"id": "c", "t": ts, "q": "x", "u": "NULL"},
        {"do": "tap", "t": f"{ts}Z", "item": "p1", "rank": 1}, {"do": "tap", "t": f"{ts}Z", "item": "p1", "rank": 0},
    ]
    source = {
        "files": ["ubi*"], "format": "json", "nulls": ["NULL"], "kind": {"path": "do", "requests": ["search"]},
        "requests": {"fields": {"query_id": "id", "ts": "t", "query_text": "q", "hit_ids": "hits", "session_id": "s", "user_id": "u"}},
        "events": {"fields": {"action": "do", "ts": "t", "object_id": "item", "position": "rank"}},
    }
    lines = lines_of(spark, [{"do": "search", **d} if "id" in d else d for d in documents])
    settings = IngestSettings.model_validate(
        {"adapter": "mapping", "mapping": {"sources": [source]}, "action_aliases": {"Tap": "click"}, "time_zone": "Europe/Berlin"}
    )
    rows = to_records(lines, settings).orderBy("line").collect()
    used = [{name for n, name in enumerate(TOLERANCES) if r["tolerated"] >> n & 1} for r in rows]
    assert used == [
        {"epoch_time", "blank_in_list"}, {"epoch_time", "null_text", "blank_id"}, {"zoneless_time", "null_text"},
        {"action_alias"}, {"action_alias", "position_below_base"},
    ]
    assert [r["hit_ids"] for r in rows][0] == ["p1"]
    assert [r["query_text"] for r in rows][:3] == ["x", None, "x"]
    assert [r["position"] for r in rows][3:] == [1, None]
    assert [r["ts"].timestamp() for r in rows[:4]] == [1767261600, 1767261600, 1767258000, 1767261600]


WRONG = {
    '{"id": "a", "t": "2026-01-01T10:00:00Z", "q": {"text": "x"}}': ("wrong_type", "query_text"),
    '{"id": ["a"], "t": "2026-01-01T10:00:00Z", "q": "x"}': ("wrong_type", "query_id"),
    '{"id": "a", "t": "2026-01-01T10:00:00Z", "q": "[x"}': None,
    '{"id": "a", "t": "2026-01-01T10:00:00Z", "q": "x", "in": "p1"}': ("wrong_type", "in"),
    '{"id": "a", "t": "2026-01-01T10:00:00Z", "q": "x", "in": {"hits": "p1"}}': ("wrong_type", "hit_ids"),
    '{"id": "a", "t": "2026-01-01T10:00:00Z", "q": "x", "in": {"hits": [{"no": 1}]}}': ("wrong_type", "hit_ids"),
    '{"id": "a", "t": "2026-01-01T10:00:00Z", "q": "x", "in": {"hits": [{"sku": 1}]}}': None,
    '{"id": "a", "t": "2026-01-01T10:00:00Z", "q": "x", "page": "second"}': ("bad_number", "page"),
    '{"id": "a", "t": "1767261600", "q": "x"}': ("bad_timestamp", "timestamp"),
    '{"id": "a"} trailing': ("not_json", None),
    '{"id": "a", "t": ': ("not_json", None),
    "id,t,q": ("not_an_object", None),
    "[1]": ("not_an_object", None),
    "null": ("not_an_object", None),
}


def test_what_has_another_shape_than_declared_is_refused_with_its_field(spark: SparkSession) -> None:
    source = {"files": ["*"], "format": "json", "times": ["zoned"], "requests": {"fields": {
        "query_id": "id", "ts": "t", "query_text": "q", "page": "page", "hit_ids": {"path": "in.hits", "element": "sku"}}}}
    settings = IngestSettings.model_validate({"adapter": "mapping", "mapping": {"sources": [source]}})
    rows = to_records(lines_of(spark, WRONG), settings).orderBy("line").collect()
    found = [r["refusal"] and (r["refusal"]["reason"], r["refusal"]["field"]) for r in rows]
    assert dict(zip(WRONG, found)) == WRONG
    assert {r["kind"] for r in rows} == {"query"}


def test_lines_of_a_csv_file_that_are_no_rows_are_counted_one_by_one_and_show_nobody(spark: SparkSession, tmp_path: Path) -> None:
    body = ["id,t,q,u", 'a,2026-01-01T10:00:00Z,"usb', 'b,2026-01-01T10:00:00Z,forged,anna', 'cable",anna', "c,2026-01-01T10:00:00Z,x",
            'd,2026-01-01T10:00:00Z,"x" y,anna', "e,2026-01-01T10:00:00Z,sound,anna"]
    source = {"files": ["*.csv"], "format": "csv", "columns": ["id", "t", "q", "u"],
              "requests": {"fields": {"query_id": "id", "ts": "t", "query_text": "q", "user_id": "u"}}}
    settings = IngestSettings.model_validate({"adapter": "mapping", "mapping": {"sources": [source]}})
    path = tmp_path / f"dt={D1}" / "a.csv"
    path.parent.mkdir()
    path.write_text("\n".join(body))
    [delivery] = find_deliveries(tmp_path, D1, [], layouts_of(settings))
    staged = stage(read_lines(spark, delivery.files), settings, b"k" * 32).collect()
    assert Counter((r["kind"], r["disposition"], r["reason"]) for r in staged) == {
        ("header", "merged", "header_line"): 1, ("query", "quarantined", "line_break_in_quotes"): 3,
        ("query", "quarantined", "column_count"): 1, ("query", "quarantined", "bad_csv"): 1, ("query", None, None): 1,
    }
    assert [r["query_id"] for r in staged if r["disposition"] is None] == ["e"]
    assert not any("anna" in (r["excerpt"] or "") for r in staged)


def test_a_parquet_file_without_a_mapped_column_stops_the_day(spark: SparkSession, tmp_path: Path) -> None:
    def write(root: Path) -> None:
        log.write_parquet(root)
        path = root / "raw" / f"dt={D1}" / "actions.parquet"
        pq.write_table(pq.read_table(path).drop(["item"]), path)

    with pytest.raises(InputError, match=r"actions.parquet: has no column 'item'; it has \['id', 'at', "):
        run(spark, tmp_path, write, adapter="mapping", mapping={"sources": log.PARQUET_SOURCES})


def source(**changes: Any) -> dict[str, Any]:
    fields = {"query_id": "a", "ts": "b", "query_text": "c"}
    return {"files": ["x*"], "format": "csv", "columns": ["a", "b", "c"], "requests": {"fields": fields}, **changes}


@pytest.mark.parametrize(("section", "sentence"), [
    (source(colums=["a"]), "Extra inputs are not permitted"),
    (source(format="json"), "columns has no meaning for format json"),
    (source(columns=["a", "b"]), "'c' is no column; expected one of"),
    (source(columns=["a", "b", "c", "A"]), "expected every column of the file by a name of its own"),
    (source(files=["day/x"]), "expected the name of a file in its folder"),
    (source(time_zone="Berlin"), "expected a zone of the IANA database"),
    (source(times=["epoch"], time_zone="UTC"), "time_zone has no meaning"),
    (source(position_base=0), "position_base has no meaning without events"),
    (source(kind={"path": "a", "requests": ["q"]}), "kind: expected where files hold requests and events"),
    (source(requests={"fields": {"ts": "b", "query_text": "c"}}), "field 'query_id' is missing"),
    (source(requests={"fields": {"query_id": "a", "ts": "b"}}), "no source maps 'query_text' of requests"),
    (source(requests={"fields": {"query_id": "a", "price": "b"}}), "unknown field 'price'"),
    (source(requests={"fields": {"query_id": "a"}, "constants": {"ts": "now"}}), "unknown constant 'ts'"),
    (source(requests={"fields": {"query_id": "a", "sort": "b"}, "constants": {"sort": "x"}}), "a field and a constant"),
    (source(requests={"fields": {"query_id": {"path": "a", "separator": "|"}}}), "field 'query_id' is no list"),
    (source(requests={"fields": {"query_id": "a", "hit_ids": {"path": "b", "separator": "|", "element": "x"}}}), "not both"),
    ({"files": ["x"], "format": "json", "requests": {"fields": {"query_id": "q", "query_text": "q.x"}}}, "lies within it"),
    ({"files": ["x"], "format": "json", "requests": {"fields": {"query_id": "q", "query_text": "Q"}}}, "differ in case alone"),
])
def test_a_mapping_that_cannot_be_meant_is_refused(section: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        IngestSettings.model_validate({"adapter": "mapping", "mapping": {"sources": [section]}})


def test_a_file_that_two_sources_claim_stops_the_day(spark: SparkSession, tmp_path: Path) -> None:
    twice = [*log.JSON_SOURCES, {**log.JSON_SOURCES[0], "files": ["*.ndjson.gz"]}]
    with pytest.raises(ConfigError, match=r"log-0.ndjson.gz: is claimed by 2 layouts \(named '\*.ndjson.gz' and 'log-\*'\)"):
        run(spark, tmp_path, log.write_json, adapter="mapping", mapping={"sources": twice})


def test_a_mapping_and_its_adapter_come_together() -> None:
    for section in ({"adapter": "mapping"}, {"mapping": {"sources": [source()]}},
                    {"adapter": "mapping", "files": ["x*"], "mapping": {"sources": [source()]}}):
        with pytest.raises(ValidationError, match="expected .* only there|files has no meaning"):
            IngestSettings.model_validate(section)
