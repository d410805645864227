"""Batches for training: tuples and item stream together, shuffled, sharded by rank, exactly repeatable.

The epochs are one endless sequence of rows, N to an epoch, cut into global batches of G = world * batch_size rows, of
which rank r takes the r-th part. An epoch has the batches that begin in it, its last one may take rows of the next. So
every row is used exactly once an epoch, steps are equal on all ranks, and two processes see what one process with the
doubled batch sees. The item stream goes on where the last step left it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from mmse_model.ahead import Ahead
from mmse_model.batch import EMPTY, Batch
from mmse_model.packed import Arrays, stream_table, tuple_table
from mmse_model.shuffle import POOL_ROWS, Chosen, Shuffled, Take, in_batches

PREFETCH = 2
"""Batches that are made ahead of the trainer."""


class TupleLoader:
    """Batches of exactly `batch_size` tuples and `stream_items` entries of the item stream.

    Args:
        tuple_files: Parquet files of one split of `tuples`.
        stream_files: Parquet files of `item_stream`.
        shapes: Q, S, I, P and N, as the manifest has them.
        batch_size: Tuples per batch and rank.
        stream_items: Stream entries per batch and rank.
        seed: Of both orders.
        rank: This process, from 0.
        world: Number of processes.
        digests: SHA-256 by file; files are verified before their rows are used.
        workers: Threads that read ahead in each of the two; the batches are the same with any number of them.
        pool_rows: Rows that are shuffled together, at least; memory grows with it.

    Raises:
        PackedError: A file cannot be read or is not what it should be; it is named. While iterating, too.
        ValueError: There is no stream, or not one full batch.
    """

    def __init__(
        self, tuple_files: Sequence[Path], stream_files: Sequence[Path], shapes: Mapping[str, int], batch_size: int,
        stream_items: int, seed: int, rank: int = 0, world: int = 1, digests: Mapping[Path, str] | None = None,
        workers: int = 1, pool_rows: int = POOL_ROWS,
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank = {rank}; expected 0 to {world - 1}")
        self.batch_size, self.stream_items, self.rank, self.world = batch_size, stream_items, rank, world
        self.workers = workers
        self._tuples = Shuffled(tuple_table(tuple_files, shapes, digests), seed, "tuples", pool_rows)
        self._stream = Shuffled(stream_table(stream_files, shapes, digests), seed, "stream", pool_rows)
        self._position = self._resume = (0, 0)
        rows = self._tuples.table.rows
        if rows < batch_size * world:
            raise ValueError(f"tuples: {rows} rows; expected at least batch_size x world = {batch_size} x {world}")
        if not self._stream.table.rows:
            raise ValueError("item_stream: 0 rows; expected at least 1")

    def steps(self, epoch: int) -> int:
        """Batches of an epoch, the same for every rank; epochs differ by one where they do not end with a batch."""
        return self._first_batch(epoch + 1) - self._first_batch(epoch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch, from 0: a pure function of (seed, number, rank, world).

        The epoch that a loaded state points into begins where that state was taken.
        """
        first = self._resume[1] if self._resume[0] == number else 0
        self._resume = (0, 0)
        with Ahead(self._batches(number, first), PREFETCH, "mmse-batches") as batches:
            for step, batch in enumerate(batches, start=first + 1):
                self._position = (number, step) if step < self.steps(number) else (number + 1, 0)
                yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position after the last batch handed out, where that is in tuples and stream, and what both rest on."""
        epoch, step = self._position
        return {"epoch": epoch, "step": step, **self._derived(epoch, step)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on at a position. Raises ValueError where it is none, or not the same rows: other data, another order."""
        epoch, step = int(state["epoch"]), int(state["step"])
        if epoch < 0 or not 0 <= step < self.steps(epoch):
            raise ValueError(f"loader state: epoch = {epoch}, step = {step}; expected a step below {self.steps(epoch)}")
        _compare(state, self._derived(epoch, step))
        self._position = self._resume = (epoch, step)

    def _derived(self, epoch: int, step: int) -> dict[str, Any]:
        """What must be equal in this loader for (epoch, step) to mean the same rows."""
        batch = self._first_batch(epoch) + step
        return {
            "seed": self._tuples.seed, "batch_size": self.batch_size, "stream_items": self.stream_items,
            "world": self.world, "pool_rows": self._tuples.pool_rows,
            "tuples": self._tuples.place(batch * self.batch_size * self.world),
            "stream": self._stream.place(batch * self.stream_items * self.world),
        }

    def _first_batch(self, epoch: int) -> int:
        return first_batch(epoch, self._tuples.table.rows, self.batch_size * self.world)

    def _batches(self, number: int, step: int) -> Generator[Batch, None, None]:
        first, last = self._first_batch(number) + step, self._first_batch(number + 1)
        with closing(self._rows(self._tuples, self.batch_size, first, last)) as tuples, closing(
            self._rows(self._stream, self.stream_items, first, last)
        ) as stream:
            for rows, drawn in zip(in_batches(tuples, self.batch_size), in_batches(stream, self.stream_items)):
                yield make_batch(rows, drawn)

    def _rows(self, order: Shuffled, size: int, first: int, last: int) -> Generator[Chosen, None, None]:
        """This rank's rows of the global batches from `first` to `last`, each rank having `size` of each."""
        each = size * self.world
        return order.rows(first * each, last * each, Take(size, self.rank, self.world), self.workers)


def first_batch(epoch: int, rows: int, size: int) -> int:
    """Number, over all epochs of `rows` rows, of the first batch of `size` rows that begins in an epoch."""
    return -(-epoch * rows // size)


def _compare(found: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = "") -> None:
    """Raises ValueError that names the first value of a state which is not what is expected."""
    for name, ours in expected.items():
        theirs = found.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            _compare(theirs, ours, f"{prefix}{name}.")
        elif theirs != ours:
            raise ValueError(f"loader state: {prefix}{name} = {theirs!r}; expected {ours!r}")


def read_in_order(tuple_files: Sequence[Path], shapes: Mapping[str, int], batch_size: int) -> Iterator[Batch]:
    """Every tuple once, unshuffled, without a stream; the last batch may be smaller."""
    table = tuple_table(tuple_files, shapes)
    for arrays, file in zip(table.read(table.files), table.files):
        for start in range(0, file.rows, batch_size):
            yield make_batch({name: values[start : start + batch_size].copy() for name, values in arrays.items()})


def make_batch(tuples: Arrays, stream: Arrays | None = None) -> Batch:
    """Tensors over the arrays of a batch; without a stream its tensors have no rows."""
    tensors = {name: torch.from_numpy(values) for name, values in tuples.items()}
    if stream is None:
        none = {name: value.new_zeros((0, *value.shape[1:])) for name, value in tensors.items()}
        items, queries, rates = none["items"].flatten(0, 1), none["query"], none["shares"].flatten()
        return Batch(**tensors, stream_ids=none["dense_ids"].flatten(), stream_items=items,
                     stream_title_queries=queries, stream_share=rates, stream_probability=rates)
    drawn = {name: torch.from_numpy(values) for name, values in stream.items()}
    return Batch(
        **tensors, stream_ids=drawn["dense_id"], stream_items=drawn["item"],
        stream_title_queries=drawn["title_query"], stream_share=drawn["share"],
        stream_probability=drawn["probability"],
    )


__all__ = ["EMPTY", "Batch", "TupleLoader", "first_batch", "make_batch", "read_in_order"]
