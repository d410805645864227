"""Rows of many files in a random order that anybody can compute from a seed, read in bounded memory.

One cycle passes over all rows: the files are permuted, taken some at a time as a pool, and the rows of a pool are
permuted. Rows lie in hash order on disk, so that a pool is a random sample to begin with. The position of every row
in a cycle follows from (seed, cycle) alone: a reader can start anywhere without reading what comes before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmse_model.packed import Arrays, PackedFile, PackedTable

POOL_ROWS = 16_384
"""A pool takes files until it has this many rows."""


@dataclass(frozen=True)
class Pool:
    """Files that are shuffled together, and the position of their first row in the cycle."""

    number: int
    start: int
    files: tuple[PackedFile, ...]

    @property
    def stop(self) -> int:
        """Position after the last row."""
        return self.start + sum(f.rows for f in self.files)


@dataclass(frozen=True)
class Take:
    """Which positions belong to one of `world` ranks: blocks of `block` rows in turn, none from `stop` on."""

    block: int
    rank: int
    world: int
    stop: int | None = None

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether each position is ours."""
        ours = positions // self.block % self.world == self.rank
        return ours if self.stop is None else ours & (positions < self.stop)


@dataclass(frozen=True)
class Chosen:
    """Rows of a pool: `order` holds their places in `arrays`."""

    arrays: Arrays
    order: NDArray[np.int64]

    def rows(self, start: int, stop: int) -> Arrays:
        """The chosen rows from `start` to `stop`, copied."""
        places = self.order[start:stop]
        return {name: values[places] for name, values in self.arrays.items()}


@dataclass(frozen=True)
class Shuffled:
    """Endless cycles over the rows of a table; `name` keeps two tables with one seed apart."""

    table: PackedTable
    seed: int
    name: str
    pool_rows: int = POOL_ROWS

    def cycle(self, number: int, take: Take, start: int = 0, offset: int = 0) -> Iterator[Chosen]:
        """The rows of one cycle that `take` wants, from position `start` of the cycle on, a pool at a time.

        `take` is asked about positions counted from `offset`, where the cycle begins.
        """
        pools = [pool for pool in self.pools(number) if pool.stop > start]
        for pool, arrays in zip(pools, self.table.read([pool.files for pool in pools])):
            order = self._random(number, pool.number).permutation(pool.stop - pool.start)
            positions = np.arange(pool.start, pool.stop)
            yield Chosen(arrays, order[take(positions + offset) & (positions >= start)])

    def endless(self, take: Take, start: int) -> Iterator[Chosen]:
        """The rows that `take` wants of cycle after cycle; positions count on through all of them."""
        number, first = divmod(start, self.table.rows)
        while True:
            yield from self.cycle(number, take, first, offset=number * self.table.rows)
            number, first = number + 1, 0

    def pools(self, number: int) -> list[Pool]:
        """The pools of one cycle in order."""
        pools: list[Pool] = []
        files: list[PackedFile] = []
        start = 0
        order = self._random(number).permutation(len(self.table.files)).tolist()
        for place, index in enumerate(order):
            files.append(self.table.files[index])
            if sum(f.rows for f in files) >= self.pool_rows or place == len(order) - 1:
                pools.append(Pool(len(pools), start, tuple(files)))
                start, files = pools[-1].stop, []
        return pools

    def _random(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *self.name.encode(), *numbers])


def in_batches(chunks: Iterable[Chosen], size: int) -> Iterator[Arrays]:
    """Batches of exactly `size` rows, over the borders of chunks; what is left at the end is dropped.

    Rows are gathered batch by batch: a pool is too large for the cache, a batch is not.
    """
    left: Arrays = {}
    for chunk in chunks:
        first = min(size - count(left), len(chunk.order)) if left else 0
        if first:
            left = _joined(left, chunk.rows(0, first))
            if count(left) == size:
                yield left
                left = {}
        last = first + (len(chunk.order) - first) // size * size
        for start in range(first, last, size):
            yield chunk.rows(start, start + size)
        if last < len(chunk.order):
            left = chunk.rows(last, len(chunk.order))


def count(arrays: Arrays) -> int:
    """The number of rows."""
    return len(next(iter(arrays.values())))


def _joined(first: Arrays, second: Arrays) -> Arrays:
    return {name: np.concatenate([values, second[name]]) for name, values in first.items()}
