"""What the hidden truth says of pairs of an intent and a retrieved item; of others nothing is kept in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.runtime.errors import InputError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NO_ITEM = -1
ROWS = 131_072
"""Rows of the truth that are read at a time."""
FIGURES = ("click_probability", "order_probability", "ranker_score")


@dataclass(frozen=True)
class Utility:
    """N pairs, ascending by `pair_of`, with the probabilities of a click and of an order given examination."""

    pairs: Ints
    click: Floats
    order: Floats
    score: Floats
    """The production ranker's score, before the noise of a request."""

    def find(self, intents: Ints, items: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Places in the arrays, and whether the truth knows the pair; where it does not the place means nothing."""
        wanted = pair_of(intents, items)
        return np.searchsorted(self.pairs, wanted), is_among(wanted, self.pairs) & (items != NO_ITEM)


def pair_of(intents: Ints, items: Ints) -> Ints:
    """One number for an intent and an item, both below 2^31; ascending by intent, then item."""
    return (intents << 32) + items


def is_among(values: Ints, ascending: Ints) -> NDArray[np.bool_]:
    """Whether each value stands in an ascending array."""
    if not len(ascending):
        return np.zeros(values.shape, bool)
    return ascending[np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)] == values


def item_numbers(names: pa.Array | pa.ChunkedArray) -> Ints:
    """The simulated market's own numbers of its items ("p0000000017" is 17). InputError for another catalogue's names."""
    try:
        return pc.cast(pc.utf8_slice_codeunits(names, 1, 64), pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        raise InputError(
            f"items such as {names[0]}: no names of the simulated market; the experiment needs its hidden truth"
        ) from None


def read_utility(files: Iterable[Path], wanted: Ints) -> Utility:
    """The pairs among `wanted` (ascending numbers of `pair_of`) that the truth knows, read block by block."""
    found: list[tuple[NDArray, ...]] = [(np.empty(0, np.int64), *(np.empty(0) for _ in FIGURES))]
    for path in files:
        source = pq.ParquetFile(path)
        if missing := sorted({*FIGURES} - {*source.schema_arrow.names}):
            raise InputError(f"{path}: has no column {missing[0]}; run simulate_market again")
        for batch in source.iter_batches(ROWS, columns=["intent_id", "object_id", *FIGURES]):
            pairs = pair_of(batch["intent_id"].to_numpy(), item_numbers(batch["object_id"]))
            kept = is_among(pairs, wanted)
            found.append((pairs[kept], *(batch[name].to_numpy()[kept] for name in FIGURES)))
    pairs, *figures = (np.concatenate(parts) for parts in zip(*found))
    order = np.argsort(pairs)
    return Utility(pairs[order], *(values[order] for values in figures))
