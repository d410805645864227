"""Rows of many files in a random order that anybody can compute from a seed, read in bounded memory.

One cycle passes over all rows: the files are permuted, taken some at a time as a pool, and the rows of a pool are
permuted. Rows lie in hash order on disk, so that a pool is a random sample to begin with. The position of every row
in a cycle follows from (seed, cycle) alone: a reader can start anywhere without reading what comes before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

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
class Shuffled:
    """Endless cycles over the rows of a table; `name` keeps two tables with one seed apart."""

    table: PackedTable
    seed: int
    name: str
    pool_rows: int = POOL_ROWS

    def cycle(self, number: int, take: Take, start: int = 0, offset: int = 0) -> Iterator[Arrays]:
        """The rows of one cycle that `take` wants, from position `start` of the cycle on, a pool at a time.

        `take` is asked about positions counted from `offset`, where the cycle begins.
        """
        pools = [pool for pool in self.pools(number) if pool.stop > start]
        contents = self.table.read([f for pool in pools for f in pool.files])
        for pool in pools:
            parts = [next(contents) for _ in pool.files]
            order = self._random(number, pool.number).permutation(pool.stop - pool.start)
            positions = np.arange(pool.start, pool.stop)
            order = order[take(positions + offset) & (positions >= start)]
            yield {name: _gather([part[name] for part in parts], order) for name in self.table.shapes}

    def endless(self, take: Take, start: int) -> Iterator[Arrays]:
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


def in_batches(chunks: Iterable[Arrays], size: int) -> Iterator[Arrays]:
    """Cuts chunks of any length into batches of exactly `size` rows; what is left at the end is dropped."""
    left: Arrays = {}
    for chunk in chunks:
        whole = {name: np.concatenate([left[name], values]) if left else values for name, values in chunk.items()}
        rows = count(whole)
        for start in range(0, rows - size + 1, size):
            yield {name: values[start : start + size] for name, values in whole.items()}
        left = {name: values[rows - rows % size :] for name, values in whole.items()}


def count(arrays: Arrays) -> int:
    """The number of rows."""
    return len(next(iter(arrays.values())))


def _gather(parts: list[NDArray[Any]], order: NDArray[np.int64]) -> NDArray[Any]:
    return (parts[0] if len(parts) == 1 else np.concatenate(parts))[order]
