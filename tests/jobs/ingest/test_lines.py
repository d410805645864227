"""Raw files as numbered lines, whatever their ends, blocks and bytes."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from jobs.ingest import layouts
from jobs.ingest.deliveries import RawFile
from jobs.ingest.layouts import whole_lines
from jobs.ingest.lines import _batch, _split, count_lines, read_lines

FILE = RawFile("2026-01-01", "dt=2026-01-01/queries.json", "/nowhere", 0)


def raw_file(path: Path, body: bytes) -> RawFile:
    path.write_bytes(body)
    return RawFile("2026-01-01", f"dt=2026-01-01/{path.name}", str(path), len(body))


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.text(alphabet="a{}\"é\t ", max_size=12)), ends=st.sampled_from(["\n", "\r\n"]),
       closed=st.booleans(), block=st.integers(1, 40))
def test_every_line_that_is_not_blank_is_read_once_with_its_number(
    rows: list[str], ends: str, closed: bool, block: int
) -> None:
    body = (ends.join(rows) + (ends if closed else "")).encode()
    before, layouts.BLOCK = layouts.BLOCK, block
    try:
        found, first = [], 1
        for part in whole_lines(io.BytesIO(body), "x"):
            texts, decoded = _split(part)
            batch = _batch(FILE, first, texts, decoded)
            found += list(zip(batch.column("line").to_pylist(), batch.column("text").to_pylist()))
            first += len(texts)
    finally:
        layouts.BLOCK = before
    assert found == [(n, row) for n, row in enumerate(rows, 1) if row.strip(" \t")]


def test_bytes_that_are_not_utf8_mark_their_own_line_alone() -> None:
    texts, decoded = _split(b'{"a":1}\n{"b":"\xff"}\n')
    assert decoded is not None and decoded.to_pylist() == [True, False]
    assert texts.to_pylist()[0] == '{"a":1}'


def test_a_byte_order_mark_is_no_part_of_the_first_record() -> None:
    assert list(whole_lines(io.BytesIO(b"\xef\xbb\xbf{}\n"), "x")) == [b"{}\n"]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "BLOCK", 10)
    monkeypatch.setattr(layouts, "LONGEST_LINE", 50)
    with pytest.raises(ValueError, match="no line end within 50 bytes"):
        list(whole_lines(io.BytesIO(b"x" * 100), "f"))


def test_plain_and_gzipped_files_are_read_as_spark_counts_them(spark: SparkSession, tmp_path: Path) -> None:
    body = b'{"a":1}\n\n{"a":2}\r\n   \n{"a":3}'
    files = [raw_file(tmp_path / "queries.json", body), raw_file(tmp_path / "queries.json.gz", gzip.compress(body))]
    read = {(r["file"], r["line"], r["text"]) for r in read_lines(spark, files).collect()}
    expected = {(f.name, n, f'{{"a":{v}}}') for f in files for n, v in ((1, 1), (3, 2), (5, 3))}
    assert read == expected
    assert count_lines(spark, files) == {f.name: 3 for f in files}
