"""What the tuples of Spark and of DuckDB must agree on: everything but which of several equal rows was drawn.

The two draw by different hashes: other training tuples of a frequent query stay below the cap, and other items fill the
slots of a stage with more items than room. All counts, all tuples outside the cap, and in every tuple of both
everything but the drawn items are compared; where nothing had to be drawn, the items and their tokens too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.runtime.config import Config
from jobs.runtime.manifest import Manifest
from jobs.tuples.packing import unpack

PART = 8
"""Tokens are compared of every eighth tuple, by hash."""
SIGMAS = 6
"""Standard deviations of the number of stream entries, whose fractions are rounded by chance."""
FACTS = {
    "rows": "SELECT split, count(*) FROM heads GROUP BY ALL",
    "requests": "SELECT split, count(*) FROM requests WHERE split IS NOT NULL GROUP BY ALL",
    "lost_requests": "SELECT 'session', count(*) FROM requests WHERE split IS NULL",
    "lost_items": "SELECT coalesce(loss, 'no_room'), count(*) FROM candidates "
                  "WHERE loss IS NOT NULL OR in_tuple AND slot IS NULL GROUP BY ALL",
    "capped": "SELECT split, f.n - k.n FROM (SELECT split, count(*) AS n FROM heads GROUP BY ALL) k JOIN "
              "(SELECT split, count(DISTINCT query_id) AS n FROM candidates WHERE in_tuple GROUP BY ALL) f USING (split)",
}


def differences(
    database: Any, files: dict[str, list[str]], tuples: Manifest, stream: Manifest, folder: Path, config: Config
) -> list[str]:
    """A sentence for each thing that differs; `database` holds the tables of the reference, `folder` its files."""
    for name, paths in (("a", files["tuples"]), ("b", map(str, folder.glob("tuples-*.parquet")))):
        database.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM {rows_of(paths)}")
    return [
        *counted(database, tuples, stream), *rows_apart(database), *rows_unlike(database), *slots_unlike(database, tuples),
        *stream_unlike(database, rows_of(files["item_stream"]), rows_of([str(folder / "item_stream.parquet")]), config),
    ]


def rows_of(paths: Iterable[str]) -> str:
    """SQL of the rows of some files."""
    listed = ", ".join(f"'{path}'" for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def counted(database: Any, tuples: Manifest, stream: Manifest) -> list[str]:
    """The facts of the manifest that no draw decides."""
    found = []
    for fact, sql in FACTS.items():
        theirs = dict(database.execute(sql).fetchall())
        found += _unequal(fact, {k: n for k, n in tuples.facts[fact].items() if n}, {k: n for k, n in theirs.items() if n})
    mix = database.execute("SELECT split, stage, count(*) FROM slots WHERE split <> 'train' GROUP BY ALL").fetchall()
    ours = {(s, stage): n for s, stages in tuples.facts["stage_mix"].items() if s != "train" for stage, n in stages.items()}
    available = database.execute("SELECT count(*) FROM rates WHERE available").fetchone()[0]
    return [
        *found, *_unequal("stage_mix", ours, {(split, stage): n for split, stage, n in mix}),
        *_unequal("available_items", stream.facts["available_items"], available),
    ]


def rows_apart(database: Any) -> list[str]:
    """Tuples that only one side has: none outside training, and as many of every training query."""
    ours, theirs = (f"(SELECT query_id, split FROM {side} WHERE split <> 'train')" for side in ("a", "b"))
    alone = database.execute(
        f"SELECT query_id FROM {ours} x FULL JOIN {theirs} y USING (query_id) WHERE x.split IS NULL OR y.split IS NULL LIMIT 3"
    ).fetchall()
    counts = "(SELECT query_norm, count(*) AS n FROM {} WHERE split = 'train' GROUP BY ALL)"
    uneven = database.execute(
        f"SELECT query_norm, a.n, b.n FROM {counts.format('a')} a FULL JOIN {counts.format('b')} b USING (query_norm) "
        "WHERE a.n IS DISTINCT FROM b.n LIMIT 3"
    ).fetchall()
    return [f"only one side has the tuple {row}" for row in alone] + [f"tuples of a training query: {row}" for row in uneven]


def rows_unlike(database: Any) -> list[str]:
    """Common tuples that differ in a column which no draw decides."""
    same = ("split", "ts", "query_norm", "query", "known_positives", "query_seen")
    other = " OR ".join(f"a.{c} IS DISTINCT FROM b.{c}" for c in same)
    return [f"tuple {row[0]} differs in one of {same}" for row in database.execute(
        f"SELECT query_id FROM a JOIN b USING (query_id) WHERE {other} LIMIT 3").fetchall()]


def slots_unlike(database: Any, tuples: Manifest) -> list[str]:
    """Common tuples with another number of items in a stage, or, where all of a stage fitted, with other items."""
    shapes, found = tuples.facts["shapes"], []
    stages = dict.fromkeys(tuples.facts["slots"])
    columns = [[n for n, stage in enumerate(tuples.facts["slots"]) if stage == name] for name in stages]
    for part in range(PART):
        tokens = ", a.items, b.items" if part == 0 else ""
        rows = database.execute(
            "WITH drawn AS (SELECT DISTINCT query_id FROM candidates WHERE in_tuple AND slot IS NULL AND loss IS NULL) "
            "SELECT a.query_id, a.dense_ids, b.dense_ids, d.query_id IS NULL AS whole, a.last_event_ts = b.last_event_ts AS same"
            f"{tokens} FROM a JOIN b USING (query_id) LEFT JOIN drawn d USING (query_id) WHERE hash(a.query_id) % {PART} = {part}"
        ).to_arrow_table().combine_chunks()
        if len(rows):
            wrong = _slots_wrong(rows, shapes, columns)
            found += [f"tuple {row}: other items" for row in rows["query_id"].filter(wrong).to_pylist()[:3]]
    return found


def _slots_wrong(rows: Any, shapes: dict[str, int], columns: list[list[int]]) -> NDArray[np.bool_]:
    """Which of N rows differ: `query_id`, dense ids of both, whole, same, and, where they are to be compared, tokens of both."""
    ours, theirs = (unpack(rows.column(n), "<i8", shapes["S"]) for n in (1, 2))
    whole, same = rows.column(3).to_numpy(), rows.column(4).to_numpy()
    wrong = ((ours >= 0) != (theirs >= 0)).any(axis=1) | (whole & ~same)
    tokens = [unpack(rows.column(n), "<i4", shapes["S"] * shapes["I"]).reshape(-1, shapes["S"], shapes["I"]) for n in (5, 6)
              if rows.num_columns > n]
    for slots in columns:
        left, right = (np.argsort(ids[:, slots], axis=1) for ids in (ours, theirs))
        unlike = np.take_along_axis(ours[:, slots], left, 1) != np.take_along_axis(theirs[:, slots], right, 1)
        if tokens:
            spelled = [np.take_along_axis(t[:, slots], order[..., None], 1) for t, order in zip(tokens, (left, right))]
            unlike |= (spelled[0] != spelled[1]).any(axis=2)
        wrong |= whole & unlike.any(axis=1)
    return wrong


def stream_unlike(database: Any, ours: str, theirs: str, config: Config) -> list[str]:
    """The numbers of entries, within the rounding of their fractions, and the tokens of entries of both."""
    counts = [database.execute(f"SELECT count(*) FROM {side}").fetchone()[0] for side in (ours, theirs)]
    slack = SIGMAS * math.sqrt(config.item_stream.entries) / 2
    far = [f"{n} entries in the stream; expected {config.item_stream.entries}" for n in counts
           if abs(n - config.item_stream.entries) > slack]
    other = database.execute(
        f"SELECT a.dense_id FROM {ours} a JOIN {theirs} b USING (dense_id, copy) WHERE a.item <> b.item LIMIT 3").fetchall()
    return far + [f"stream entry of item {row[0]}: other tokens" for row in other]


def _unequal(name: str, ours: Any, theirs: Any) -> list[str]:
    return [] if ours == theirs else [f"{name}: Spark {ours}, DuckDB {theirs}"]
