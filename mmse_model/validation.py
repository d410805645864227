"""Recall of held-out positives after each epoch: exact search over a bounded part of the catalogue.

The queries are those of the validation split with the smallest hash of their query_id, the candidates the distinct
items of the item stream with the smallest hash of their dense id, and every positive of those queries. With the
demo's sizes the candidates are nearly the whole catalogue; at a larger size this recall is that of a sample and
higher than the recall which evaluation reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from mmse_model.batch import EMPTY
from mmse_model.config import StageSettings
from mmse_model.hashing import finish, hash_tokens
from mmse_model.objectives import slot_levels
from mmse_model.towers import TwoTower

_ROWS = 8_192
_TUPLE_COLUMNS = ["query_id", "query", "dense_ids", "items"]


@dataclass(frozen=True)
class Validation:
    """V queries with their positives (V, S) and N candidates."""

    queries: torch.Tensor
    """(V, Q) int32."""
    positives: torch.Tensor
    """(V, S) int64 dense ids, -1 where a slot is empty or no positive."""
    ids: torch.Tensor
    """(N,) int64, ascending."""
    items: torch.Tensor
    """(N, I) int32."""
    stages: dict[str, list[int]]
    """Positive stage -> its slots, weakest first."""
    k: int

    @staticmethod
    def read(
        tuple_files: Sequence[Path], stream_files: Sequence[Path], shapes: Mapping[str, int],
        stages: tuple[StageSettings, ...], queries: int, items: int, k: int,
    ) -> Validation:
        """Reads at most `queries` queries and `items` stream items, beside the positives of those queries.

        `shapes` holds Q, S and I of the packed columns. Raises ValueError where there are no rows.
        """
        slots = positive_slots(stages)
        table = _smallest(_rows(tuple_files, _TUPLE_COLUMNS), _hash_queries, queries)
        query, dense, own = (_unpack(table[c], t) for c, t in zip(_TUPLE_COLUMNS[1:], ("<i4", "<i8", "<i4")))
        dense, own = dense.reshape(-1, shapes["S"]), own.reshape(-1, shapes["I"])
        positive = np.isin(np.arange(shapes["S"]), [n for places in slots.values() for n in places])
        wanted = np.where(positive, dense, EMPTY)
        stream = _smallest(_rows(stream_files, ["dense_id", "item"]), _hash_items, items, distinct=True)
        pool = np.concatenate([stream["dense_id"].to_numpy(), wanted[wanted != EMPTY]])
        held_out = own[(wanted != EMPTY).flatten()]
        rows = np.concatenate([_unpack(stream["item"], "<i4").reshape(-1, shapes["I"]), held_out])
        ids, first = np.unique(pool, return_index=True)
        return Validation(
            torch.from_numpy(query.reshape(-1, shapes["Q"]).copy()), torch.from_numpy(wanted),
            torch.from_numpy(ids), torch.from_numpy(rows[first]), slots, k,
        )

    @property
    def selects(self) -> str:
        """The figure by which the best epoch is chosen: recall of the furthest stage that has positives."""
        filled = [s for s, slots in self.stages.items() if bool((self.positives[:, slots] != EMPTY).any())]
        return self._name((filled or list(self.stages))[-1])

    @torch.no_grad()
    def measure(self, model: TwoTower, block: int = 1_024) -> dict[str, float]:
        """recall@k by positive stage: mean over queries of the share of their positives among the k best.

        A stage without any positive is left out.
        """
        device = model.empty.device
        items = torch.cat([model.encode_items(part.to(device)) for part in self.items.split(block)])
        found = {stage: 0.0 for stage in self.stages}
        counted = {stage: 0 for stage in self.stages}
        for query, wanted in zip(self.queries.split(block), self.positives.split(block)):
            scores = model.encode_queries(query.to(device)) @ items.T
            best = self.ids[scores.topk(min(self.k, len(self.ids)), dim=1).indices.cpu()]
            for stage, slots in self.stages.items():
                truth = wanted[:, slots]
                size = (truth != EMPTY).sum(1)
                hits = ((truth[:, :, None] == best[:, None, :]).any(2) & (truth != EMPTY)).sum(1)
                found[stage] += float((hits[size > 0] / size[size > 0]).sum())
                counted[stage] += int((size > 0).sum())
        return {self._name(s): found[s] / counted[s] for s in self.stages if counted[s]}

    def describe(self) -> str:
        """One line: what this recall is over."""
        return f"validation: {len(self.queries):,} queries, {len(self.ids):,} candidates, {self.selects}"

    def _name(self, stage: str) -> str:
        return f"{stage} recall@{self.k}"


def positive_slots(stages: tuple[StageSettings, ...]) -> dict[str, list[int]]:
    """The slots of each positive stage, weakest stage first."""
    levels = slot_levels(stages)
    return {s.name: [n for n, at in enumerate(levels) if at == level] for level, s in enumerate(stages) if s.positive}


def _rows(paths: Iterable[Path], columns: list[str]) -> Iterator[pa.Table]:
    for path in sorted(paths):
        for batch in pq.ParquetFile(path).iter_batches(_ROWS, columns=columns):
            yield pa.Table.from_batches([batch])


def _smallest(
    tables: Iterator[pa.Table], key: Callable[[pa.Table], NDArray[np.uint64]], limit: int, *, distinct: bool = False
) -> pa.Table:
    """The `limit` rows with the smallest keys, in key order; memory is bounded by twice the limit and a batch.

    `distinct` keeps one row per key.
    """
    kept: pa.Table | None = None
    for table in tables:
        if kept is not None:
            if len(kept) == limit:
                table = table.filter(pa.array(key(table) < key(kept.slice(limit - 1))[0]))
            table = pa.concat_tables([kept, table])
        keys = key(table)
        order = np.unique(keys, return_index=True)[1] if distinct else np.argsort(keys, kind="stable")
        kept = table.take(pa.array(order[:limit])).combine_chunks()
    if kept is None:
        raise ValueError("no rows to validate on; expected tuples of the split 'validation' and an item stream")
    return kept


def _hash_queries(table: pa.Table) -> NDArray[np.uint64]:
    return hash_tokens(table["query_id"].to_pylist())


def _hash_items(table: pa.Table) -> NDArray[np.uint64]:
    return finish(table["dense_id"].to_numpy().astype(np.uint64) + np.uint64(1))


def _unpack(column: pa.ChunkedArray, dtype: str) -> NDArray[np.generic]:
    return np.frombuffer(b"".join(column.to_pylist()), dtype)


__all__ = ["Validation"]
