"""Judgments: every line has one disposition, one grade of a query and an item stands, in every format alike."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession

from jobs import cli
from jobs.ingest_judgments import JOB, find_files
from jobs.pipeline import JOB_NAMES, SIDE_JOBS, load_job, span
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked, ConfigError, InputError
from jobs.runtime.job import JobContext, run_job
from jobs.runtime.judgment_sections import JudgmentSettings

D1 = "2026-01-08"
OPEN = {f"judgment_ledger.quarantined_share.{severity}": {} for severity in ("critical", "warning")}
FIELDS = {"query_text": "q", "object_id": "sku", "grade": "g", "locale": "lang"}
ROWS: list[dict[str, Any]] = [
    {"q": "USB  Cable", "sku": "p1", "g": 2, "lang": "en"},
    {"q": "usb cable", "sku": "p1", "g": 3, "lang": "en"},  # the same query: the highest grade stands
    {"q": "usb cable", "sku": "p1", "g": 3, "lang": "en"},
    {"q": "usb cable", "sku": "p1", "g": 1, "lang": "de"},  # another locale is another query
    {"q": "usb cable", "sku": "p2", "g": 0, "lang": None},
    {"q": "mail anna@example.com", "sku": "p2", "g": 1.5, "lang": "en"},
    {"q": "usb cable", "sku": "p3", "g": 9, "lang": "en"},
    {"q": " ", "sku": "p3", "g": 1, "lang": "en"},
    {"q": "usb cable", "sku": None, "g": 1, "lang": "en"},
    {"q": "usb cable", "sku": "p4", "g": None, "lang": "en"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        lines = [",".join("" if row[c] is None else str(row[c]) for c in ("q", "sku", "g", "lang")) for row in rows]
        path.write_text("\n".join(["q,sku,g,lang", *lines]) + "\n")
    else:
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def run(spark: SparkSession, root: Path, folder: Path, **section: Any) -> JobContext:
    config = Config.model_validate({
        "paths": {"raw": str(root / "raw"), "warehouse": str(root / "warehouse"), "reports": str(root / "reports")},
        "judgments": {"folder": str(folder), "highest_grade": 3, **section}, "audit": {"bounds": OPEN},
    })
    return run_job(JOB, config, date.fromisoformat(D1), lambda: spark)


def ledger(context: JobContext) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for row in context.written("judgment_ledger", [D1]).collect():
        found[row["kind"], row["disposition"], row["reason"]] += row["records"]
    return found


@pytest.mark.parametrize("name", [
    "g.csv", pytest.param("g.parquet", marks=pytest.mark.slow), pytest.param("g.jsonl.gz", marks=pytest.mark.slow),
])
def test_of_several_grades_the_highest_stands_and_every_line_is_accounted_for(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    write(tmp_path / "in" / name, ROWS)
    kind = {"g.csv": {"format": "csv", "columns": ["q", "sku", "g", "lang"]}, "g.parquet": {"format": "parquet"}}
    files = {"files": [name], **kind.get(name, {"format": "json"}), "record": {"fields": FIELDS, "constants": {"source": "us"}}}
    context = run(spark, tmp_path, tmp_path / "in", ratings=files)
    rows = {(r["query_norm"], r["object_id"], r["locale"]): (r["grade"], r["source"]) for r in context.written("judgments", [D1]).collect()}
    assert rows == {
        ("usb cable", "p1", "en"): (3.0, "us"), ("usb cable", "p1", "de"): (1.0, "us"), ("usb cable", "p2", ""): (0.0, "us"),
        ("mail <email>", "p2", "en"): (1.5, "us"),
    }
    lines = {
        ("judgment", "accepted", ""): 4, ("judgment", "duplicate", "lower_grade"): 1, ("judgment", "duplicate", "same_grade"): 1,
        ("judgment", "quarantined", "out_of_range"): 1, ("judgment", "quarantined", "missing_query_text"): 1,
        ("judgment", "quarantined", "missing_object_id"): 1, ("judgment", "quarantined", "missing_grade"): 1,
    }
    assert ledger(context) == ({**lines, ("header", "merged", "header_line"): 1} if name == "g.csv" else lines)
    assert context.outputs["judgment_ledger", D1].metrics["unaccounted_records"] == 0
    refused = {(r["line"], r["field"], r["value"]) for r in context.written("judgment_quarantine", [D1]).collect()}
    nine = "9.0" if name == "g.parquet" else "9"  # the column also holds 1.5: there it is a double
    assert (7 + (name == "g.csv"), "grade", nine) in refused and len(refused) == 4


def test_the_public_ratings_of_chorus_join_their_queries_by_id(spark: SparkSession, tmp_path: Path, shared_data: Path) -> None:
    tsv = {"format": "csv", "separator": "\t", "quote": None}
    context = run(
        spark, tmp_path, shared_data / "chorus_icecat",
        ratings={**tsv, "files": ["qrels.tsv"], "columns": ["query_id", "product_id", "rating"], "record": {
            "fields": {"query_id": "query_id", "object_id": "product_id", "grade": "rating"},
            "constants": {"locale": "en", "source": "chorus"}}},
        queries={**tsv, "files": ["queries.tsv"], "columns": ["query_id", "query"],
                 "record": {"fields": {"query_id": "query_id", "query_text": "query"}}},
    )
    ratings = [line.split("\t") for line in (shared_data / "chorus_icecat" / "qrels.tsv").read_text().splitlines()[1:]]
    texts = dict(line.split("\t") for line in (shared_data / "chorus_icecat" / "queries.tsv").read_text().splitlines()[1:])
    expected: dict[tuple[str, str], float] = {}
    for query, product, grade in ratings:
        key = (" ".join(texts[query].casefold().split()), product)
        expected[key] = max(float(grade), expected.get(key, 0.0))
    rows = context.written("judgments", [D1]).collect()
    assert {(r["query_norm"], r["object_id"]): r["grade"] for r in rows} == expected
    found = ledger(context)
    assert found["judgment", "accepted", ""] == len(expected) == len(rows)
    assert found["judgment", "duplicate", "same_grade"] + found["judgment", "duplicate", "lower_grade"] == len(ratings) - len(expected)
    assert (found["query", "merged", "query_text"], found["header", "merged", "header_line"]) == (len(texts), 2)
    assert sum(found.values()) == len(ratings) + len(texts) + 2
    assert context.outputs["judgment_ledger", D1].metrics["unaccounted_records"] == 0


def test_a_grade_of_an_unknown_query_is_refused_and_a_second_text_of_an_id_is_told_apart(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "in" / "g.jsonl.gz", [{"id": 1, "sku": "p1", "g": 1}, {"id": 2, "sku": "p1", "g": 1}, {"id": 3, "sku": "p", "g": "x"}])
    write(tmp_path / "in" / "q.jsonl.gz", [{"id": 1, "q": "a"}, {"id": 1, "q": "b"}, {"id": 1, "q": "a", "n": 1}, {"id": "", "q": "c"}])
    context = run(
        spark, tmp_path, tmp_path / "in",
        ratings={"files": ["g*"], "format": "json", "record": {"fields": {"query_id": "id", "object_id": "sku", "grade": "g"}}},
        queries={"files": ["q*"], "format": "json", "record": {"fields": {"query_id": "id", "query_text": "q"}}},
    )
    found = ledger(context)
    again = found.pop(("query", "duplicate", "same_query_id"), 0), found.pop(("query", "duplicate", "other_text_of_query_id"))
    assert again in {(1, 1), (0, 2)}  # which text stands is decided by the digests of the lines
    assert found == {
        ("judgment", "accepted", ""): 1, ("judgment", "quarantined", "unknown_query"): 1, ("judgment", "quarantined", "bad_number"): 1,
        ("query", "merged", "query_text"): 1, ("query", "quarantined", "missing_query_id"): 1,
    }


def test_what_is_missing_is_named_in_one_sentence(tmp_path: Path) -> None:
    ratings = {"files": ["g*.csv"], "format": "csv", "columns": ["q", "sku", "g", "lang"], "record": {"fields": FIELDS}}
    with pytest.raises(ConfigError, match="judgments.folder: not set"):
        find_files(JudgmentSettings(), D1)
    with pytest.raises(InputError, match="no such folder"):
        find_files(JudgmentSettings(folder=str(tmp_path / "x"), ratings=ratings), D1)
    settings = JudgmentSettings(folder=str(tmp_path), ratings=ratings)
    with pytest.raises(Blocked, match=r"no file of judgments; expected one named g\*.csv"):
        find_files(settings, D1)
    (tmp_path / "g.csv").write_text("q,sku,lang\n")
    with pytest.raises(InputError, match="g.csv: the header line names"):
        find_files(settings, D1)


@pytest.mark.parametrize(("section", "sentence"), [
    ({"folder": "x"}, "expected both"),
    ({"folder": "x", "lowest_grade": 4, "ratings": {"files": ["g"], "format": "json", "record": {"fields": FIELDS}}}, "lowest_grade = 4"),
    ({"folder": "x", "ratings": {"files": ["g"], "format": "json", "record": {"fields": {"object_id": "a", "grade": "b"}}}}, "query_text"),
    ({"folder": "x", "ratings": {"files": ["g"], "format": "json", "record": {"fields": {"object_id": "a", "query_text": "q"}}}}, "'grade' is missing"),
    ({"folder": "x", "ratings": {"files": ["g"], "format": "csv", "columns": ["q"], "record": {"fields": FIELDS}}}, "is no column"),
])
def test_a_section_that_cannot_be_meant_is_refused(section: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        JudgmentSettings.model_validate(section)


def test_side_jobs_are_run_by_name_and_no_part_of_the_chain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert not set(SIDE_JOBS) & set(JOB_NAMES)
    assert load_job("ingest_judgments") is JOB
    with pytest.raises(ConfigError, match="expected one of simulate_market"):
        span("ingest_judgments", "publish_release")
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert all(name in capsys.readouterr().out for name in ("ingest_judgments",))
    config = tmp_path / "c.yaml"
    config.write_text(f"paths: {{warehouse: {tmp_path / 'warehouse'}}}\n")
    assert cli.main(["ingest_judgments", "--config", str(config), "--date", D1]) == 2
    assert "judgments.folder: not set" in capsys.readouterr().err
