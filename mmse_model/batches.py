"""Batches for training: tuples and item stream together, shuffled, sharded by rank, exactly repeatable.

All ranks walk one and the same sequence of rows; global step t takes the next world * batch_size of them, rank r the
r-th part. So every row is used at most once an epoch, steps are equal on all ranks, and two processes see what one
process with the doubled batch sees. Less than one global batch is left over at the end of an epoch and dropped: other
rows each time, because every epoch has an order of its own. The stream goes on where the last step left it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from mmse_model.batch import EMPTY, Batch
from mmse_model.packed import Arrays, stream_table, tuple_table
from mmse_model.shuffle import Shuffled, Take, in_batches

T = TypeVar("T")

PREFETCH = 4
"""Batches that are made ahead of the trainer."""
_DONE = object()


class TupleLoader:
    """Batches of exactly `batch_size` tuples and `stream_items` entries of the item stream.

    Args:
        tuple_files: Parquet files of one split of `tuples`.
        stream_files: Parquet files of `item_stream`.
        shapes: Q, S, I and P, as the manifest has them.
        batch_size: Tuples per batch and rank.
        stream_items: Stream entries per batch and rank.
        seed: Of both orders.
        rank: This process, from 0.
        world: Number of processes.
        digests: SHA-256 by file; files are verified before their rows are used.

    Raises:
        PackedError: A file cannot be read or is not what it should be; it is named. While iterating, too.
        ValueError: There is no stream, or not one full batch.
    """

    def __init__(
        self, tuple_files: Sequence[Path], stream_files: Sequence[Path], shapes: Mapping[str, int], batch_size: int,
        stream_items: int, seed: int, rank: int = 0, world: int = 1, digests: Mapping[Path, str] | None = None,
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank = {rank}; expected 0 to {world - 1}")
        self.batch_size, self.stream_items, self.rank, self.world = batch_size, stream_items, rank, world
        self._tuples = Shuffled(tuple_table(tuple_files, shapes, digests), seed, "tuples")
        self._stream = Shuffled(stream_table(stream_files, shapes, digests), seed, "stream")
        self._position = self._resume = (0, 0)
        rows = self._tuples.table.rows
        self.steps_per_epoch = rows // (batch_size * world)
        """Batches of an epoch, the same for every rank."""
        if not self.steps_per_epoch:
            raise ValueError(f"tuples: {rows} rows; expected at least batch_size x world = {batch_size} x {world}")
        if not self._stream.table.rows:
            raise ValueError("item_stream: 0 rows; expected at least 1")

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch, from 0: a pure function of (seed, number, rank, world).

        The epoch that a loaded state points into begins where that state was taken.
        """
        first = self._resume[1] if self._resume[0] == number else 0
        self._resume = (0, 0)
        batches = prefetched(self._batches(number, first), PREFETCH)
        for step, batch in enumerate(batches, start=first + 1):
            self._position = (number, step) if step < self.steps_per_epoch else (number + 1, 0)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position after the last batch handed out, and what must be equal for it to mean the same rows."""
        epoch, step = self._position
        return {"epoch": epoch, "step": step, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on at a position. Raises ValueError where it was taken from other data or another division of it."""
        for name, ours in self._identity().items():
            if state.get(name) != ours:
                raise ValueError(f"loader state: {name} = {state.get(name)!r}; expected {ours!r}")
        self._position = self._resume = (int(state["epoch"]), int(state["step"]))

    def _identity(self) -> dict[str, Any]:
        return {
            "seed": self._tuples.seed, "batch_size": self.batch_size, "stream_items": self.stream_items,
            "world": self.world, "tuples": self._tuples.table.rows, "stream": self._stream.table.rows,
        }

    def _batches(self, number: int, first: int) -> Generator[Batch, None, None]:
        each, every = self.batch_size * self.world, self.stream_items * self.world
        ours = Take(self.batch_size, self.rank, self.world, stop=self.steps_per_epoch * each)
        tuples = in_batches(self._tuples.cycle(number, ours, first * each), self.batch_size)
        drawn = (number * self.steps_per_epoch + first) * every
        stream_take = Take(self.stream_items, self.rank, self.world)
        stream = in_batches(self._stream.endless(stream_take, drawn), self.stream_items)
        for rows in tuples:
            yield make_batch(rows, next(stream))


def read_in_order(tuple_files: Sequence[Path], shapes: Mapping[str, int], batch_size: int) -> Iterator[Batch]:
    """Every tuple once, unshuffled, without a stream; the last batch may be smaller."""
    table = tuple_table(tuple_files, shapes)
    for rows in table.read([[file] for file in table.files]):
        for start in range(0, len(rows["query"]), batch_size):
            yield make_batch({name: values[start : start + batch_size].copy() for name, values in rows.items()})


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


def prefetched(source: Generator[T, None, None], depth: int) -> Iterator[T]:
    """The same values, made by one thread that stays at most `depth` ahead; it ends when the iterator is closed."""
    made: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(value: Any) -> None:
        waiting = True
        while waiting and not stop.is_set():
            try:
                made.put(value, timeout=0.1)
                waiting = False
            except queue.Full:
                pass

    def work() -> None:
        try:
            for value in source:
                put(value)
                if stop.is_set():
                    return
            put(_DONE)
        except BaseException as error:
            put(error)
        finally:
            source.close()

    threading.Thread(target=work, name="mmse-prefetch", daemon=True).start()
    try:
        while (value := made.get()) is not _DONE:
            if isinstance(value, BaseException):
                raise value
            yield value
    finally:
        stop.set()


__all__ = ["EMPTY", "Batch", "TupleLoader", "make_batch", "prefetched", "read_in_order"]
