"""Rows of CSV and Parquet files as one JSON text each, so that every format goes the same way from there.

A CSV value is a JSON string. A Parquet value keeps its kind: numbers and booleans are written
as they are, times and dates as ISO text (with an offset where the column has a time zone),
decimals as text with all their digits, binary as UTF-8 text, structs and top-level maps as objects, lists as
lists; a null column is left out. Adapters read every leaf back as a string.
"""

from __future__ import annotations

import csv
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from jobs.ingest.layouts import Layout, csv_options, open_parquet

BATCH = 4_096  # rows handed on at a time

HEADER, REFUSED, LINE = "$header", "$refused", "$line"
"""Keys of the JSON text for a CSV line that is no row: the header line; or why not, and the line itself."""

Row = tuple[int, str, bool]
"""(number of the line or row in its file, 1-based; text; whether it was valid UTF-8)"""


def csv_rows(lines: Iterable[Row], layout: Layout) -> Iterator[Row]:
    """Lines of a CSV file that are not blank -> the same lines with their columns as JSON.

    One line is one record. Lines that a quoted field runs over are refused, each of them
    (`line_break_in_quotes`), and so are lines with other quotes than RFC 4180 allows or with a
    field over 128 KiB (`bad_csv`), and lines with another number of columns (`column_count`).
    """
    taken: deque[Row] = deque()

    def feed() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line[1]

    reader, first = csv.reader(feed(), **csv_options(layout)), layout.header
    while True:
        problem, values = None, []
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            problem = "bad_csv"
        if len(taken) > 1:
            problem = "line_break_in_quotes"
        elif problem is None and len(values) != len(layout.columns):
            problem = "column_count"
        for number, line, decoded in taken:
            yield number, _line_text(line, values, problem, layout) if not first else _dump({HEADER: line}), decoded
            first = False
        taken.clear()


def _line_text(line: str, values: list[str], problem: str | None, layout: Layout) -> str:
    return _dump({REFUSED: problem, LINE: line}) if problem else _dump(dict(zip(layout.columns, values)))


def parquet_rows(path: str, layout: Layout) -> Iterator[Row]:
    """Rows of a Parquet file in order; memory is bounded by a batch and the read buffers of the columns.

    Raises InputError for a file that is no Parquet file, ValueError where it holds other than the promised rows.
    """
    file, number = open_parquet(path), 0
    for batch in file.iter_batches(BATCH, columns=list(layout.columns) or None, use_threads=False):
        for text, decoded in _row_texts(batch):
            number += 1
            yield number, text, decoded
    if number != file.metadata.num_rows:
        raise ValueError(f"{path}: its footer promises {file.metadata.num_rows} rows; its pages hold {number}")


def _row_texts(batch: pa.RecordBatch) -> Iterator[tuple[str, bool]]:
    maps = [field.name for field in batch.schema if pa.types.is_map(field.type)]
    try:
        rows: Iterable[dict[str, Any] | None] = batch.to_pylist()
    except UnicodeDecodeError:  # Parquet does not promise that its strings are UTF-8: find the rows that are not
        rows = [_row(batch.slice(n, 1)) for n in range(batch.num_rows)]
    for row in rows:
        if row is None:
            yield "{}", False
            continue
        for name in maps:
            row[name] = dict(row[name]) if row[name] is not None else None
        yield _object(row)


def _row(batch: pa.RecordBatch) -> dict[str, Any] | None:
    try:
        return batch.to_pylist()[0]
    except UnicodeDecodeError:
        return None


def _object(row: dict[str, Any]) -> tuple[str, bool]:
    there = {name: value for name, value in row.items() if value is not None}
    try:
        return _json(there), True
    except UnicodeDecodeError:
        return "{}", False


def _json(row: dict[str, Any]) -> str:
    try:
        return _dump(row)
    except UnicodeDecodeError:
        raise
    except ValueError:  # JSON has no NaN and no infinity: they become text, which no number accepts
        return _dump(_finite(row))


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_leaf)


def _leaf(value: Any) -> Any:
    """A value that JSON has no word for."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, timedelta):
        return str(value)
    return value.isoformat()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
