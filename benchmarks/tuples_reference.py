"""The tuples and the item stream of the same Parquet files by DuckDB (`tuples.sql`), numpy and pyarrow in one process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.shop_log import LAST
from jobs.runtime.config import Config
from jobs.tuples.packing import fill_known, pack
from jobs.tuples.splits import Window
from jobs.tuples.titles import title_queries
from mmse_model.grains import Grains
from schemas import ITEM_STREAM, TUPLES, Dataset
from schemas.tuples import SPLITS
from schemas.vocabulary import GRAINS

SQL = Path(__file__).with_name("tuples.sql")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
STAGES = ("unclicked", "clicked", "ordered")
ITEM_TEXT = ("title", "brand", "category_path", "shop", "price")
OF_TUPLE = (
    "query_id", "ts", "query_norm", "split", "query", "dense_ids", "items", "shares", "known_positives", "last_event_ts",
    "query_seen",
)
OF_ENTRY = ("dense_id", "copy", "item", "title_query", "share", "probability")
CHUNK = 8_192
THREADS = 2


def build_with_duckdb(database: Any, files: dict[str, list[str]], config: Config, folder: Path) -> float:
    """Writes `tuples-SPLIT.parquet` and `item_stream.parquet` into `folder`; returns seconds."""
    started = time.monotonic()
    for name, value in variables(files, config).items():
        database.execute(f"SET VARIABLE {name} = $value", {"value": value})
    database.execute(SQL.read_text(encoding="utf-8"))
    grains = grains_of(database, files["vocabulary"], config)
    items = spelled_items(database, grains)
    folder.mkdir(parents=True, exist_ok=True)
    rows = config.tuples.row_group_rows
    for split in SPLITS:
        write(folder / f"tuples-{split}.parquet", TUPLES, OF_TUPLE, tuples_of(database, split, grains, items, config), rows)
    write(folder / "item_stream.parquet", ITEM_STREAM, OF_ENTRY, stream_of(database, grains, items), rows)
    return time.monotonic() - started


def variables(files: dict[str, list[str]], config: Config) -> dict[str, Any]:
    """What `tuples.sql` asks for."""
    window = Window.of(config, LAST)
    moments = {"start": window.start, "cut": window.cut, "validation": window.validation, "test": window.test, "stop": window.end}
    settings = config.item_stream
    return {
        **{name: files[name] for name in ("items", "requests", "impressions")},
        **{name: (moment - EPOCH) // timedelta(microseconds=1) for name, moment in moments.items()},
        **{stage.name: stage.per_tuple for stage in config.stages if stage.name in STAGES},
        "per_query": config.tuples.max_per_query, "known": config.tuples.known_positives, "entries": settings.entries,
        "uniform_share": settings.uniform_share, "alpha": settings.popularity_alpha,
    }


def grains_of(database: Any, files: list[str], config: Config) -> Grains:
    """The published vocabulary."""
    rows = database.execute("SELECT grain, token FROM read_parquet($files) ORDER BY grain, rank", {"files": files}).fetchall()
    return Grains.build({grain: [token for g, token in rows if g == grain] for grain in GRAINS}, config.grains)


@dataclass(frozen=True)
class Items:
    """The D distinct items that are needed: dense ids (D,) ascending, token ids (D, I), shares (D, 2), titles."""

    dense_ids: NDArray[np.int64]
    ids: NDArray[np.int32]
    shares: NDArray[np.float32]
    titles: list[str]

    def at(self, dense_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where items stand."""
        return np.searchsorted(self.dense_ids, dense_ids)


def spelled_items(database: Any, grains: Grains) -> Items:
    """Token ids of every needed item, each computed once."""
    texts = database.execute("SELECT * FROM texts ORDER BY dense_id").to_arrow_table().combine_chunks()
    chunks = [texts.slice(at, CHUNK) for at in range(0, len(texts), CHUNK)]

    def spell(chunk: pa.Table) -> NDArray[np.int32]:
        return grains.item_ids(*(chunk[name].to_pylist() for name in ITEM_TEXT))

    with ThreadPoolExecutor(THREADS) as pool:
        ids = list(pool.map(spell, chunks))
    shares = np.stack([texts[name].to_numpy() for name in ("share", "probability")], axis=1).astype(np.float32)
    return Items(texts["dense_id"].to_numpy(), np.concatenate(ids), shares, texts["title"].to_pylist())


def tuples_of(database: Any, split: str, grains: Grains, items: Items, config: Config) -> Iterator[dict[str, Any]]:
    """The columns of one split in its order, a row group at a time."""
    heads = database.execute("SELECT * FROM heads WHERE split = $split ORDER BY place", {"split": split}).to_arrow_table()
    slots = database.execute(
        "SELECT place, slot, dense_id, last_event FROM slots WHERE split = $split ORDER BY place", {"split": split}
    ).to_arrow_table()
    place, size = slots["place"].to_numpy(), config.tuples.row_group_rows
    for start in range(0, len(heads), size):
        part = heads.slice(start, size).combine_chunks()
        low, high = np.searchsorted(place, [start, start + len(part)])
        filled = slots.slice(low, high - low)
        row, slot, dense_ids = (filled[name].to_numpy() for name in ("place", "slot", "dense_id"))
        yield {
            **{name: part[name] for name in ("query_id", "query_norm", "split", "query_seen")},
            "ts": micros(part["ts"].to_numpy()), "query": pack(grains.query_ids(part["query_norm"].to_pylist())),
            "known_positives": pack(fill_known(part["known"].chunk(0), config.tuples.known_positives)),
            **filled_slots(row - start, slot, dense_ids, items, (len(part), slot_count(config))),
            "last_event_ts": micros(latest(filled["last_event"].to_numpy(), row)),
        }


def latest(times: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest of the times of each row; `row` is ascending and leaves none out."""
    return np.maximum.reduceat(times, np.flatnonzero(np.diff(row, prepend=-1)))


def slot_count(config: Config) -> int:
    """S."""
    return sum(stage.per_tuple for stage in config.stages if stage.name in STAGES)


def filled_slots(
    row: NDArray[np.int64], slot: NDArray[np.int32], dense_ids: NDArray[np.int64], items: Items, shape: tuple[int, int]
) -> dict[str, pa.Array]:
    """The packed columns of `shape` (N, S): dense ids, token ids and shares; empty slots are -1 and 0."""
    ids, at = np.full(shape, -1, np.int64), items.at(dense_ids)
    tokens, shares = np.zeros((*shape, items.ids.shape[1]), np.int32), np.zeros((*shape, 2), np.float32)
    ids[row, slot], tokens[row, slot], shares[row, slot] = dense_ids, items.ids[at], items.shares[at]
    return {"dense_ids": pack(ids), "items": pack(tokens), "shares": pack(shares)}


def stream_of(database: Any, grains: Grains, items: Items) -> Iterator[dict[str, Any]]:
    """The columns of the item stream in its order, a chunk at a time."""
    entries = database.execute("SELECT * FROM stream ORDER BY hash(dense_id, copy)").to_arrow_table().combine_chunks()
    draws = np.random.default_rng(0).integers(-(2**63), 2**63, len(entries))
    for start in range(0, len(entries), CHUNK):
        part = entries.slice(start, CHUNK)
        at = items.at(part["dense_id"].to_numpy())
        queries = title_queries([items.titles[n] for n in at], draws[start : start + CHUNK])
        packed = {"item": pack(items.ids[at]), "title_query": pack(grains.query_ids(queries))}
        yield {**{name: part[name] for name in part.column_names}, **packed}


def micros(times: NDArray[np.int64]) -> pa.Array:
    """UTC timestamps of microseconds."""
    return pa.array(times, pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def write(path: Path, dataset: Dataset, names: Sequence[str], parts: Iterator[dict[str, Any]], rows: int) -> None:
    """One Parquet file of some columns of a dataset, compressed as the job does it; at most `rows` a row group."""
    declared = dataset.arrow_schema()
    schema = pa.schema([declared.field(name) for name in names])
    plain = [name for name in names if name not in dataset.packed]
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=plain) as writer:
        for part in parts:
            table = pa.table([part[name] for name in names], names=list(names))
            writer.write_table(table.cast(schema), row_group_size=rows)
