"""Rows of many files in a random order that anybody can compute from a seed, read in bounded memory.

The order is one endless sequence of cycles, each over all rows: the files are permuted, taken some at a time as a pool,
and the rows of a pool are permuted. Rows lie in hash order on disk, so that a pool is a random sample to begin with.
What stands at a position follows from (seed, position) alone: a reader can start anywhere without reading what comes
before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmse_model.ahead import in_turn
from mmse_model.packed import Arrays, PackedTable

POOL_ROWS = 8_192
"""A pool takes files until it has this many rows; with full files that is one."""


@dataclass(frozen=True)
class Pool:
    """Files that are shuffled together: their numbers in the table, their rows, and where the first one stands."""

    cycle: int
    number: int
    start: int
    rows: int
    files: tuple[int, ...]

    @property
    def stop(self) -> int:
        """Position after the last row."""
        return self.start + self.rows


@dataclass(frozen=True)
class Take:
    """Which positions belong to one of `world` ranks: blocks of `block` rows in turn."""

    block: int
    rank: int
    world: int

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether each position is ours."""
        return positions // self.block % self.world == self.rank


@dataclass(frozen=True)
class Chosen:
    """Rows of a pool, whose files are `parts`, in the order that `places` has them."""

    parts: Sequence[Arrays]
    places: NDArray[np.int64]

    def rows(self, start: int, stop: int) -> Arrays:
        """The chosen rows from `start` to `stop`, copied once: the files of a pool are never put together."""
        places = self.places[start:stop]
        if len(self.parts) == 1:
            return {name: np.take(values, places, axis=0) for name, values in self.parts[0].items()}
        ends = np.cumsum([count(part) for part in self.parts])
        owners = np.searchsorted(ends, places, side="right")
        rows = {name: np.empty((len(places), *values.shape[1:]), values.dtype) for name, values in self.parts[0].items()}
        for number, part in enumerate(self.parts):
            here = np.flatnonzero(owners == number)
            within = places[here] - (ends[number] - count(part))
            for name, values in part.items():
                rows[name][here] = np.take(values, within, axis=0)
        return rows


@dataclass(frozen=True)
class Shuffled:
    """The endless sequence over the rows of a table; `name` keeps two tables with one seed apart."""

    table: PackedTable
    seed: int
    name: str
    pool_rows: int = POOL_ROWS

    def rows(self, start: int, stop: int, take: Take, workers: int = 1) -> Generator[Chosen, None, None]:
        """The rows that `take` wants of the positions from `start` to `stop`, a pool at a time.

        Worker w reads every `workers`-th file from the w-th on, one file ahead. Their number changes nothing else.
        """
        pools = list(self.between(start, stop))
        files = [self.table.files[number] for pool in pools for number in pool.files]
        sources = [self.table.read(files[worker::workers]) for worker in range(min(workers, len(files)))]
        with closing(in_turn(sources, 1, f"mmse-{self.name}")) as read:
            for pool in pools:
                positions = np.arange(pool.start, pool.stop)
                ours = take(positions) & (positions >= start) & (positions < stop)
                # No name is bound to the rows here: they would live on while the next pool is read.
                yield Chosen([next(read) for _ in pool.files], self._order(pool)[ours])

    def between(self, start: int, stop: int) -> Iterator[Pool]:
        """The pools that hold the positions from `start` to `stop`, in order."""
        for cycle in range(start // self.table.rows, -(-stop // self.table.rows)):
            yield from (pool for pool in self.pools(cycle) if pool.stop > start and pool.start < stop)

    def pools(self, cycle: int) -> list[Pool]:
        """The pools of one cycle in order."""
        pools: list[Pool] = []
        files: list[int] = []
        start, rows = cycle * self.table.rows, 0
        order = self._random(cycle).permutation(len(self.table.files)).tolist()
        for place, file in enumerate(order):
            files.append(file)
            rows += self.table.files[file].rows
            if rows >= self.pool_rows or place == len(order) - 1:
                pools.append(Pool(cycle, len(pools), start, rows, tuple(files)))
                start, rows, files = pools[-1].stop, 0, []
        return pools

    def place(self, position: int) -> dict[str, Any]:
        """Where a position is: the data, the cycle, the pool with the numbers of its files, and the row in its order."""
        (pool,) = self.between(position, position + 1)
        return {
            "rows": self.table.rows, "files": self.table.fingerprint, "cycle": pool.cycle, "pool": pool.number,
            "row_groups": list(pool.files), "offset": position - pool.start,
        }

    def _order(self, pool: Pool) -> NDArray[np.int64]:
        return self._random(pool.cycle, pool.number).permutation(pool.rows)

    def _random(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *self.name.encode(), *numbers])


def in_batches(chunks: Iterable[Chosen], size: int) -> Iterator[Arrays]:
    """Batches of exactly `size` rows, over the borders of chunks; what is left at the end is dropped.

    Rows are gathered batch by batch: a pool is too large for the cache, a batch is not.
    """
    left: Arrays = {}
    for chunk in chunks:
        total = len(chunk.places)
        first = min(size - count(left), total) if left else 0
        if first:
            left = _together(left, chunk.rows(0, first))
            if count(left) == size:
                yield left
                left = {}
        last = first + (total - first) // size * size
        for start in range(first, last, size):
            yield chunk.rows(start, start + size)
        if last < total:
            left = chunk.rows(last, total)
        del chunk  # a pool goes before the next one is waited for


def count(arrays: Arrays) -> int:
    """The number of rows."""
    return len(next(iter(arrays.values())))


def _together(first: Arrays, second: Arrays) -> Arrays:
    return {name: np.concatenate([values, second[name]]) for name, values in first.items()}
