"""Raw files as numbered lines of text; a row of CSV or Parquet becomes a line of JSON.

Spark's own text source gives no line numbers, and a refused record must be found again by
its file and line; so the tasks read the files themselves, one file a task, in blocks. A
second, independent count by Spark's own text and Parquet sources is what the ledger is held against.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from jobs.ingest.deliveries import RawFile
from jobs.ingest.layouts import BLOCK, LONGEST_LINE, open_raw, whole_lines
from jobs.ingest.tables import BATCH, Row, csv_rows, parquet_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LINES = "day string, file string, line bigint, text string, decoded boolean"
NAMES = ["day", "file", "line", "text", "decoded"]
BLANK = " \t\r\n"
COUNTED_BYTES = {"mapreduce.input.linerecordreader.line.maxlength": str(LONGEST_LINE + 2 * BLOCK)}
"""Spark would hold a line of any length in memory; longer ones than this are refused when the file is read."""


def read_lines(spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
    """One row per line that is not blank: arrival_date, file, line (1-based), text, decoded (was valid UTF-8).

    Of a Parquet file `line` is the number of the row. For CSV and Parquet see jobs/ingest/tables.py.
    A file that cannot be read to its end fails the task; no line of it is accepted.
    """
    if not files:
        return _dated(spark.createDataFrame([], LINES))
    largest_first = sorted(files, key=lambda f: (-f.bytes, f.name))

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from _read_file(largest_first[number])

    return _dated(spark.range(0, len(largest_first), 1, len(largest_first)).mapInArrow(read, LINES))


def count_lines(spark: SparkSession, files: Sequence[RawFile]) -> dict[str, int]:
    """Records by file name, as Spark's own sources count them: lines that are not blank, rows of Parquet files.

    A file without any is absent.
    """
    parquet = [f for f in files if f.layout.format == "parquet"]
    text = [f for f in files if f.layout.format != "parquet"]
    counted = {}
    if text:
        reader = spark.read.options(recursiveFileLookup="true", **COUNTED_BYTES)
        lines = reader.text([f.path for f in text], lineSep="\n")
        counted |= _by_file(lines.where(F.col("value").rlike("[^ \\t\\r\\n]")), text)
    if parquet:  # the schema has no part in counting; naming one keeps Spark from looking for it
        rows = spark.read.option("recursiveFileLookup", "true").schema("_ string").parquet(*[f.path for f in parquet])
        counted |= _by_file(rows, parquet)
    return counted


def _by_file(rows: DataFrame, files: Sequence[RawFile]) -> dict[str, int]:
    names = {f.path: f.name for f in files}
    counted = rows.groupBy(F.col("_metadata.file_path").alias("path")).count()
    return {names[unquote(urlparse(row["path"]).path)]: int(row["count"]) for row in counted.collect()}


def _dated(lines: DataFrame) -> DataFrame:
    return lines.select(F.col("day").cast("date").alias("arrival_date"), "file", "line", "text", "decoded")


def _read_file(file: RawFile) -> Iterator[pa.RecordBatch]:
    """Batches of a file's lines; memory is bounded by a block and the longest line."""
    if file.layout.format == "parquet":
        yield from _batches(file, parquet_rows(file.path, file.layout))
    elif file.layout.format == "csv":
        yield from _batches(file, csv_rows(_lines(file), file.layout))
    else:
        for first_line, texts, decoded in _blocks(file):
            yield _batch(file, first_line, texts, decoded)


def _blocks(file: RawFile) -> Iterator[tuple[int, pa.Array, pa.Array | None]]:
    """Blocks of a file's lines: (number of the first line, texts, which were valid UTF-8)."""
    with open_raw(file.path) as handle:
        first_line = 1
        for block in whole_lines(handle, file.path):
            texts, decoded = _split(block)
            yield first_line, texts, decoded
            first_line += len(texts)


def _lines(file: RawFile) -> Iterator[Row]:
    """The lines of a file one by one, blank ones left out."""
    for first_line, texts, decoded in _blocks(file):
        valid = decoded.to_pylist() if decoded is not None else [True] * len(texts)
        for n, text in enumerate(texts.to_pylist()):
            if text.strip(BLANK):
                yield first_line + n, text, valid[n]


def _batches(file: RawFile, rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    """Rows as batches with the columns LINES."""
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        numbers, texts, decoded = zip(*batch)
        columns = [
            pa.repeat(pa.scalar(file.day), len(batch)), pa.repeat(pa.scalar(file.name), len(batch)),
            pa.array(numbers, pa.int64()), pa.array(texts, pa.string()), pa.array(decoded),
        ]
        yield pa.RecordBatch.from_arrays(columns, NAMES)


def _split(block: bytes) -> tuple[pa.Array, pa.Array | None]:
    """The block's lines without their ends, and which of them were valid UTF-8 (None: all)."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        lines = block.split(b"\n")[:-1]
        texts = [line.decode("utf-8", errors="replace") for line in lines]
        valid = pa.array([text.encode("utf-8") == line for text, line in zip(texts, lines)])
        return pc.ascii_rtrim(pa.array(texts, pa.string()), "\r\n"), valid
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    whole = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets.tobytes()), pa.py_buffer(block))
    return pc.ascii_rtrim(whole, "\r\n"), None


def _batch(file: RawFile, first_line: int, texts: pa.Array, decoded: pa.Array | None) -> pa.RecordBatch:
    n = len(texts)
    columns = [
        pa.repeat(pa.scalar(file.day), n), pa.repeat(pa.scalar(file.name), n),
        pa.array(np.arange(first_line, first_line + n, dtype=np.int64)), texts,
        decoded if decoded is not None else pa.repeat(pa.scalar(True), n),
    ]
    batch = pa.RecordBatch.from_arrays(columns, NAMES)
    return batch.filter(pc.not_equal(pc.ascii_trim(texts, BLANK), ""))
