"""The labels of the same Parquet files by one DuckDB query (`labels.sql`), and the comparison row for row."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from jobs.runtime.sections import LabelSettings
from schemas import IMPRESSIONS

SQL = Path(__file__).with_name("labels.sql")
MINUTE = 60_000_000
KEY = IMPRESSIONS.key
PART = 4
"""The comparison goes through the rows in so many parts, which bounds its memory."""


def connect(spill: Path) -> Any:
    """An empty DuckDB database in memory with two threads, 4 GiB, and a folder to spill to."""
    import duckdb

    connection = duckdb.connect(config={"threads": 2, "memory_limit": "4GiB", "temp_directory": str(spill)})
    connection.execute("SET preserve_insertion_order = false")
    return connection


def label_with_duckdb(connection: Any, files: dict[str, list[str]], settings: LabelSettings, target: Path) -> float:
    """Writes the impressions of `files` to one Parquet file; returns seconds."""
    variables = {
        "requests": files["requests"], "events": files["events"],
        "click_window": settings.click_window_minutes * MINUTE, "order_window": settings.order_window_days * 1_440 * MINUTE,
        "below": settings.examined_below_click, "own_rankings": ["", *settings.own_rankings],
    }
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
    started = time.monotonic()
    connection.execute(f"COPY ({SQL.read_text(encoding='utf-8')}) TO '{target}' (FORMAT parquet, COMPRESSION snappy)")
    return time.monotonic() - started


def differences(connection: Any, spark_files: list[str], duckdb_file: Path) -> tuple[int, list[Any]]:
    """(rows compared, the first rows that are missing on one side or differ in any column of `impressions`)."""
    ours, theirs = _rows(spark_files), _rows([str(duckdb_file)])
    other = " OR ".join(f"a.{c} IS DISTINCT FROM b.{c}" for c in IMPRESSIONS.column_names)
    same_key = " AND ".join(f"a.{c} = b.{c}" for c in KEY)
    rows, found = 0, []
    for part in range(PART):
        chosen = f"WHERE hash(query_id) % {PART} = {part}"
        rows += connection.execute(f"SELECT count(*) FROM ({ours}) {chosen}").fetchone()[0]
        found += connection.execute(
            f"SELECT a, b FROM (SELECT * FROM ({ours}) {chosen}) a FULL JOIN (SELECT * FROM ({theirs}) {chosen}) b "
            f"ON {same_key} WHERE {other} LIMIT 3"
        ).fetchall()
    return rows, found


def _rows(files: list[str]) -> str:
    """SQL of the rows of some files of impressions, times as microseconds."""
    def plain(name: str, kind: str) -> str:
        if kind == "array<timestamp>":
            return f"list_transform({name}, lambda t: epoch_us(t)) AS {name}"
        return f"epoch_us({name}) AS {name}" if kind == "timestamp" else name

    columns = ", ".join(plain(c.name, c.type) for c in IMPRESSIONS.columns)
    listed = ", ".join(f"'{file}'" for file in files)
    return f"SELECT {columns} FROM read_parquet([{listed}])"
