"""Hostile records among good ones: each is refused with a reason or cut to size, and the good ones are published."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from jobs.ingest.privacy import excerpt, scrub
from jobs.ingest.staging import stage
from jobs.items.lines import judge_lines, parse_lines
from jobs.runtime.job import JobContext
from jobs.runtime.sections import IngestSettings
from tests.failures.records import HUGE, MAIL, hostile_log, item, refused_items
from tests.jobs.ingest_cases import D1, config_of, deliver, ingest, ledger_of, lines_of, query


@pytest.fixture(scope="module")
def attacked(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    root = tmp_path_factory.mktemp("attacked")
    deliver(root, D1, "ubi.json.gz", hostile_log())
    return ingest(spark, config_of(root), D1)


@pytest.mark.slow
def test_each_hostile_record_is_refused_by_name_and_the_good_ones_are_accepted(attacked: JobContext) -> None:
    found: dict[tuple[str, str], int] = {}
    for (_, disposition, reason), records in ledger_of(attacked, D1).items():
        found[disposition, reason] = found.get((disposition, reason), 0) + records
    assert found == {
        ("accepted", ""): 4,  # a good request, a good click, a query of 10 MB, an id that reads like a path
        ("quarantined", "too_long"): 7, ("quarantined", "too_many"): 1, ("quarantined", "unknown_action"): 1,
        ("quarantined", "bad_number"): 4, ("quarantined", "not_an_object"): 1, ("quarantined", "not_json"): 3,
    }


@pytest.mark.slow
def test_of_a_query_of_10_mb_a_thousand_characters_are_kept_and_512_are_searched(attacked: JobContext) -> None:
    row = attacked.written("requests", [D1]).where("query_id = 'huge'").first()
    assert (len(row["query_text"]), len(row["query_norm"])) == (1_000, 511)  # "usb " 128 times, without the last space


@pytest.mark.slow
def test_no_file_of_the_attacked_day_grew_by_what_was_sent(attacked: JobContext) -> None:
    sizes = [path.stat().st_size for path in attacked.warehouse.rglob("*") if path.is_file()]
    assert sum(sizes) < HUGE


@pytest.mark.slow
def test_an_id_that_reads_like_a_path_is_an_id_and_nothing_else(attacked: JobContext) -> None:
    ids = [row["object_id"] for row in attacked.written("events", [D1]).collect()]
    assert "../../../etc/passwd" in ids
    root = attacked.warehouse.parent
    assert {path.name for path in root.iterdir()} == {"key", "raw", "reports", "warehouse"}


def test_a_value_of_any_length_neither_overflows_the_stack_nor_shows_a_person(spark: SparkSession) -> None:
    lines = ['{"user_id":"' + "ab" * 50_000, '{"user_id":"' + r"\\a" * 50_000 + '"}', f'{{"q":"{MAIL}' + ".a" * 50_000]
    frame = spark.createDataFrame([(line,) for line in lines], "text string")
    excerpts = [row[0] for row in frame.select(excerpt(frame.text, 200, ["uid"])).collect()]
    assert excerpts[:2] == ['{"user_id":"<hidden>"', '{"user_id":"<hidden>"']
    assert MAIL not in excerpts[2]
    mail = spark.createDataFrame([("x" + MAIL + ".a" * 100_000,)], "text string")
    assert mail.select(scrub(mail.text)).first()[0] == "<email>"


def test_an_id_of_a_refused_record_is_kept_only_where_it_is_one(spark: SparkSession) -> None:
    ids = ([MAIL], {"a": MAIL}, "q" * 257, f"of {MAIL}", "q5")
    staged = stage(lines_of(spark, [query(sent, ts="never", session_id=sent) for sent in ids]), IngestSettings(), b"k" * 32).collect()
    assert {row["disposition"] for row in staged} == {"quarantined"}
    kept = [(row["query_id"], row["session_id"]) for row in sorted(staged, key=lambda row: row["line"])]
    assert kept == [(None, None)] * 3 + [("of <email>",) * 2, ("q5",) * 2]


def test_hostile_items_are_refused_by_the_field_that_is_wrong(spark: SparkSession) -> None:
    expected = refused_items()
    rows = [("f", n, line) for n, (_, line) in enumerate([*expected, ("", item("good"))])]
    judged = judge_lines(parse_lines(spark.createDataFrame(rows, "file string, line bigint, text string"))).collect()
    assert [row["reason"] for row in sorted(judged, key=lambda row: row["line"])] == [*[reason for reason, _ in expected], ""]
    assert max(len(row["value"] or "") for row in judged) <= 80


def test_a_title_keeps_its_words_and_loses_what_a_terminal_would_obey(spark: SparkSession) -> None:
    line = item("p", title="\u001b[2Jred\u0007 lamp\u009b31m")
    judged = parse_lines(spark.createDataFrame([("f", 1, line)], "file string, line bigint, text string")).first()
    assert judged["title"] == "[2Jred  lamp 31m"
