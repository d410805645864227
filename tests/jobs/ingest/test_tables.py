"""CSV and Parquet files as numbered lines of JSON: every row once, found again by its number, nothing guessed."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from jobs.ingest import tables
from jobs.ingest.deliveries import RawFile, find_deliveries, unreadable_file
from jobs.ingest.layouts import JSON_LINES, PARQUET, Layout, check_layout, layout_of, parquet_problem
from jobs.ingest.lines import count_lines, read_lines
from jobs.ingest.tables import csv_rows, parquet_rows
from jobs.runtime.errors import ConfigError, InputError

D1 = "2026-01-01"
CSV = Layout("csv", columns=("id", "text"))
BARE = Layout("csv", columns=("id", "text"), header=False)


def rows_of(lines: list[str], layout: Layout = BARE) -> list[tuple[int, Any]]:
    return [(n, json.loads(text)) for n, text, _ in csv_rows([(n, line, True) for n, line in enumerate(lines, 1)], layout)]


@given(st.lists(st.tuples(*[st.text(alphabet='a,"; é{[', max_size=6)] * 2), max_size=8))
def test_what_a_csv_writer_wrote_is_read_back_value_for_value(values: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(values)
    assert rows_of(out.getvalue().splitlines()) == [(n, {"id": a, "text": b}) for n, (a, b) in enumerate(values, 1)]


def test_each_line_of_a_record_with_a_line_break_is_refused_and_the_next_record_is_sound() -> None:
    lines = ["1,a", '2,"first', "9,forged", 'last"', "3,b"]
    found = rows_of(lines)
    assert [row.get(tables.REFUSED) for _, row in found] == [None, *["line_break_in_quotes"] * 3, None]
    assert [row.get(tables.LINE) for _, row in found][1:4] == lines[1:4]
    assert found[4] == (5, {"id": "3", "text": "b"})


def test_lines_with_odd_quotes_or_columns_are_refused_alone() -> None:
    found = rows_of(['1,"a" b', "2", "3,c,d", '4,24" monitor', '5,"never closed'])
    assert [row.get(tables.REFUSED) for _, row in found] == ["bad_csv", "column_count", "column_count", None, "bad_csv"]
    assert found[3][1] == {"id": "4", "text": '24" monitor'}
    unquoted = Layout("csv", columns=("id", "text"), header=False, quote=None, separator="\t")
    assert rows_of(['4\t"24 monitor'], unquoted) == [(1, {"id": "4", "text": '"24 monitor'})]


def test_the_header_line_is_marked_and_checked(tmp_path: Path) -> None:
    assert rows_of(["id,text", "id,text"], CSV) == [(1, {tables.HEADER: "id,text"}), (2, {"id": "id", "text": "text"})]
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfid,text\r\n"))
    check_layout(str(path), CSV)
    for body in (b"id,query\n1,2\n", b"", b"id\n"):
        path.write_bytes(gzip.compress(body))
        with pytest.raises(InputError, match=r"a.csv.gz: the header line names \[.*\]; expected \['id', 'text'\]"):
            check_layout(str(path), CSV)
    path.write_bytes(b"plain")
    with pytest.raises(InputError, match="a.csv.gz: its header line cannot be read"):
        check_layout(str(path), CSV)


def test_a_file_belongs_to_one_layout() -> None:
    layouts = {"log-*": (JSON_LINES, PARQUET), "log-?.csv": (CSV,)}
    assert layout_of("log-1.jsonl.gz", layouts) == JSON_LINES
    assert layout_of("log-1.snappy.parquet", layouts) == PARQUET
    assert layout_of("log-1.csv", layouts) == CSV
    assert layout_of("log-12.csv", layouts) is None
    assert layout_of("_log-1.json", {"*": (JSON_LINES,)}) is None
    with pytest.raises(ConfigError, match="log-1.json: is claimed by 2 layouts"):
        layout_of("log-1.json", {"log*": (JSON_LINES,), "*": (Layout("csv", columns=("a",)),)})


TABLE = pa.table({
    "id": pa.array(["a", None, "c"]), "n": pa.array([1, 2, None], pa.int32()),
    "price": pa.array([1.5, float("nan"), 2.0]), "exact": pa.array([Decimal("1.10"), None, Decimal("2.00")]),
    "at": pa.array([datetime(2026, 1, 1, 10, tzinfo=timezone.utc)] * 3, pa.timestamp("ms", tz="Europe/Berlin")),
    "local": pa.array([datetime(2026, 1, 1, 10)] * 3, pa.timestamp("ms")), "day": pa.array([date(2026, 1, 1)] * 3),
    "raw": pa.array([b"x", b"\xff", None], pa.binary()), "hits": pa.array([["p1", None], [], None], pa.list_(pa.string())),
    "inner": pa.array([{"a": 1, "b": None}, None, None], pa.struct([("a", pa.int64()), ("b", pa.string())])),
    "facets": pa.array([[("brand", "x")], None, []], pa.map_(pa.string(), pa.string())), "flag": pa.array([True, False, None]),
})


def test_parquet_values_keep_their_kind(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(TABLE, path)
    first, second, third = parquet_rows(path, PARQUET)
    assert json.loads(first[1]) == {
        "id": "a", "n": 1, "price": 1.5, "exact": "1.10", "at": "2026-01-01T11:00:00+01:00", "local": "2026-01-01T10:00:00",
        "day": "2026-01-01", "raw": "x", "hits": ["p1", None], "inner": {"a": 1, "b": None}, "facets": {"brand": "x"}, "flag": True,
    }
    assert (second[0], second[2], third[0], third[2]) == (2, False, 3, True)  # row 2 holds bytes that are no UTF-8
    _, of_two, _ = parquet_rows(path, Layout("parquet", columns=("price", "n")))
    assert json.loads(of_two[1]) == {"n": 2, "price": "nan"}


def test_strings_that_are_not_utf8_mark_their_own_row_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    text = pa.array([b"sound", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"text": text}), path)
    assert [(n, decoded) for n, _, decoded in parquet_rows(path, PARQUET)] == [(1, True), (2, False)]


def test_a_column_that_is_missing_is_named_with_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(TABLE.select(["id", "n"]), path)
    with pytest.raises(InputError, match=r"a.parquet: has no column 'query'; it has \['id', 'n'\]"):
        check_layout(str(path), Layout("parquet", columns=("id", "query")))


@pytest.mark.parametrize("injure", [lambda whole: b"", lambda whole: whole[:-3], lambda whole: b"id,n\n1,2\n"])
def test_a_file_that_is_no_whole_parquet_file_is_named(tmp_path: Path, injure: Any) -> None:
    path = tmp_path / "raw" / f"dt={D1}" / "log.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(TABLE, path)
    path.write_bytes(injure(path.read_bytes()))
    with pytest.raises(InputError, match="log.parquet: is no readable Parquet file"):
        find_deliveries(tmp_path / "raw", D1, [], {"log*": (PARQUET,)})


def with_rows(path: Path, rows: int, claimed: int, places: int) -> None:
    """Rewrites the last `places` counts of `rows` in the footer to `claimed`; each is one byte in Thrift's encoding."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    body, footer = whole[: -8 - length], whole[-8 - length : -8]
    for _ in range(places):
        at = footer.rindex(bytes([0x16, 2 * rows]))  # an i64 field and its zigzag value
        footer = footer[:at] + bytes([0x16 | 0x80, 2 * claimed]) + footer[at + 2 :]
    footer = footer.replace(bytes([0x96]), bytes([0x16]))
    path.write_bytes(body + footer + whole[-8:])


def test_a_footer_that_lies_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    table = pa.table({"id": [str(n) for n in range(40)]})
    pq.write_table(table, path, store_schema=False, use_dictionary=False, compression="none")
    with_rows(path, 40, 50, 1)
    with pytest.raises(InputError, match="log.parquet: its footer promises"):
        check_layout(str(path), PARQUET)
    pq.write_table(table, path, store_schema=False, use_dictionary=False, compression="none")
    assert parquet_problem(str(path)) is None
    with_rows(path, 40, 50, 3)  # file, row group and column agree; the pages do not
    with pytest.raises(ValueError, match="promises 50 rows; its pages hold 40"):
        list(parquet_rows(str(path), PARQUET))
    problem = unreadable_file([RawFile(D1, "log.parquet", str(path), 1, PARQUET)])
    assert "log.parquet: cannot be read to its end" in str(problem)


def test_files_of_three_formats_are_read_as_spark_counts_them(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BATCH", 2)
    folder = tmp_path / "raw" / f"dt={D1}"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text('{"id":"1"}\n\n{"id":"2"}\n')
    (folder / "b.csv").write_text('id,text\n\n1,x\r\n2,"y\nz"\n')
    pq.write_table(pa.table({"id": [str(n) for n in range(7)]}), folder / "c.parquet", row_group_size=3)
    layouts = {"a*": (JSON_LINES,), "b*": (CSV,), "c*": (PARQUET,)}
    [delivery] = find_deliveries(tmp_path / "raw" / ".." / "raw", D1, [], layouts)
    read = {(r["file"], r["line"]): r["text"] for r in read_lines(spark, delivery.files).collect()}
    assert {key: json.loads(text) for key, text in read.items() if "c.parquet" in key[0]} == {
        (f"dt={D1}/c.parquet", n + 1): {"id": str(n)} for n in range(7)
    }
    assert sorted(n for file, n in read if file.endswith("b.csv")) == [1, 3, 4, 5]
    assert count_lines(spark, delivery.files) == {f"dt={D1}/a.json": 2, f"dt={D1}/b.csv": 4, f"dt={D1}/c.parquet": 7}
