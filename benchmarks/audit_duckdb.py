"""The figures of a profile by one DuckDB query over the same files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from jobs.labels.facts import BINS, CLICKED_AMONG, POSITIONS
from mmse_model.config import StageSettings
from schemas import Dataset

Figures = dict[str, float]
"""Name of a metric -> its value."""


def profile_sql(dataset: Dataset, files: Iterable[str]) -> str:
    """One query: `figures` by day (rows, an order-free hash, nulls, declared metrics), `twice` and `cells`, each a list of rows.

    Keys are counted by a 64-bit hash, as ours are while no two agree.
    """
    listed = ", ".join(f"'{file}'" for file in files)
    columns, key = ", ".join(dataset.column_names), ", ".join(dataset.key)
    nulls = "".join(f', count_if({c.name} IS NULL) AS "nulls:{c.name}"' for c in dataset.columns if not c.nullable)
    metrics = "".join(f', CAST({m.sql} AS DOUBLE) AS "{m.name}"' for m in dataset.figures)
    return f"""
        WITH files AS (
            SELECT *, regexp_extract(filename, '/dt=([^/]+)/', 1) AS _day FROM read_parquet([{listed}], filename = true)
        ), figures AS (
            SELECT _day, count(*) AS rows, sum(hash({columns})) AS _hash{nulls}{metrics} FROM files GROUP BY _day
        ), keys AS (
            SELECT _day, hash({key}) AS _key, count(*) - 1 AS n FROM files GROUP BY ALL HAVING count(*) > 1
        ), cells AS (
            SELECT _day, stage, if(position <= {POSITIONS}, position, NULL) AS place, count(*) AS shown,
                count(clicked_ts) AS clicks, count_if(NOT examined) AS not_examined, count_if(user_refined) AS refined
            FROM files GROUP BY ALL
        )
        SELECT (SELECT list(figures) FROM figures), (SELECT coalesce(sum(n), 0) FROM keys), (SELECT list(cells) FROM cells)
    """


def profile_with_duckdb(
    connection: Any, files: Iterable[str], dataset: Dataset, stages: Iterable[StageSettings]
) -> dict[str, Figures]:
    """Day -> figures of the impressions in `files`."""
    figures, twice, cells = connection.execute(profile_sql(dataset, files)).fetchone()
    found: dict[str, Figures] = {row["_day"]: _plain(row) for row in figures}
    for day in found.values():  # of these files no key is there twice; a day's own count is then 0
        day["duplicate_keys"] = float(twice)
    configured = tuple(stages)
    only, names = {s.name for s in configured if s.evidence == "examined"}, {None, *(s.name for s in configured)}
    for cell in cells:
        _count(found[cell["_day"]], cell, only, names)
    for day in found.values():
        day["nothing_clicked"] = float(day["rows"] >= CLICKED_AMONG and day["clicked"] == 0)
        day |= {f"clicks_at:{n:02d}": day.get(f"clicks_at:{n:02d}", 0.0) for n in range(BINS)}
    return found


def _plain(row: Mapping[str, Any]) -> Figures:
    return {name: float(value) for name, value in row.items() if name not in ("_day", "_hash") and value is not None}


def _count(day: Figures, cell: Mapping[str, Any], examined_only: set[str], names: set[str | None]) -> None:
    """Adds one stage and position to the figures of its day."""
    more = {f"funnel {cell['stage'] or 'not examined'}": cell["shown"]}
    if cell["place"] is not None:
        more[f"clicks at {cell['place']}"] = cell["clicks"]
        more[f"clicks_at:{min(cell['place'], BINS) - 1:02d}"] = cell["clicks"]
    wrong = cell["stage"] in examined_only
    more |= {"unclicked_not_examined": wrong * cell["not_examined"], "unclicked_of_refined": wrong * cell["refined"]}
    more["unknown_stages"] = (cell["stage"] not in names) * cell["shown"]
    for name, value in more.items():
        day[name] = day.get(name, 0.0) + value


def differing(ours: Mapping[str, Figures], theirs: Mapping[str, Figures]) -> list[str]:
    """Figures that only one side has, or that differ by more than rounding; one sentence each."""
    found = []
    for day in sorted({*ours, *theirs}):
        a, b = ours.get(day, {}), theirs.get(day, {})
        for name in sorted({*a, *b}):
            if name not in a or name not in b or not math.isclose(a[name], b[name], rel_tol=1e-9):
                found.append(f"dt={day} {name}: {a.get(name)} and {b.get(name)}")
    return found
