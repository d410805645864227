"""The distinct items of a batch, and how often each is expected among the candidates of the softmax.

Candidates come from two sources: the positives of the batch (n_in draws, drawn as positives of the training
tuples are distributed) and the item stream (R draws from its proposal). Item j stands m_j times among them;
its EXPECTED COUNT under the whole mixture is

    c_j = n_in * share_j + R * probability_j,

so that `sum_j (m_j / c_j) exp(s_j)` estimates the sum over the catalogue without bias. Correcting each source
by itself counts the catalogue twice, and subtracting log p_j alone leaves log n standing (#5, method notes A11).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mmse_model.batch import EMPTY, Batch


@dataclass(frozen=True)
class DistinctItems:
    """Every distinct item of a batch once (U of them, C candidates first), and where each slot finds its item."""

    ids: torch.Tensor
    """(U,) int64, ascending among the first C and among the rest."""
    items: torch.Tensor
    """(U, I) int32 item grain ids."""
    candidates: int
    """C: items that are a positive of the batch or stand in its stream; the others are only compared with their row."""
    counts: torch.Tensor
    """(C,) float32 m_j: occurrences as a positive, plus occurrences in the stream."""
    share: torch.Tensor
    """(C,) float32 of the training tuples' positives."""
    probability: torch.Tensor
    """(C,) float32 of one stream draw."""
    slots: torch.Tensor
    """(B, S) int64 positions in `ids`; 0 where the slot is empty."""
    stream: torch.Tensor
    """(R,) int64 positions in `ids`."""
    own: torch.Tensor
    """(B, N) int64 positions in `ids` of the rows' own negatives; 0 where there is none."""
    positives: int
    """n_in: occurrences of positives in the batch."""


def distinct_items(batch: Batch, positive: torch.Tensor) -> DistinctItems:
    """Finds each distinct item of `batch` once; `positive` (S,) bool says which slots hold positives."""
    rows, slots = batch.dense_ids.shape
    own_ids, _ = batch.own_negatives()
    # Own negatives stand last: an item that is also a slot's or the stream's is taken, with its rates, from there.
    ids = torch.cat([batch.dense_ids.flatten(), batch.stream_ids, own_ids.flatten()])
    filled = batch.dense_ids != EMPTY
    in_stream = torch.ones_like(batch.stream_ids, dtype=torch.bool)
    drawn = torch.cat([(filled & positive).flatten(), in_stream, torch.zeros_like(own_ids.flatten(), dtype=torch.bool)])
    # Sorted by (not a candidate, id): candidates first, each item's occurrences together.
    unique, inverse = torch.unique(ids, return_inverse=True)
    counts = torch.bincount(inverse[drawn], minlength=len(unique))
    rank = torch.argsort((counts == 0).to(torch.int8), stable=True)
    rank = rank[unique[rank] != EMPTY]
    position = torch.zeros_like(unique).scatter_(0, rank, torch.arange(len(rank), device=ids.device))
    first = _first_of(inverse, len(unique))[rank]
    candidates = int((counts[rank] > 0).sum())
    stream = torch.stack([batch.stream_share, batch.stream_probability], 1)
    rates = torch.cat([batch.shares.reshape(-1, 2), stream])[first[:candidates]]
    in_slots, in_stream_too, in_own = position[inverse].split([rows * slots, len(stream), own_ids.numel()])
    return DistinctItems(
        ids=unique[rank], items=_rows_of(batch, first), candidates=candidates,
        counts=counts[rank][:candidates].to(torch.float32), share=rates[:, 0], probability=rates[:, 1],
        slots=in_slots.view(rows, slots) * filled, stream=in_stream_too,
        own=in_own.view(own_ids.shape) * (own_ids != EMPTY), positives=int((filled & positive).sum()),
    )


def log_candidate_weights(
    items: DistinctItems, positives: int, stream: int, *, correct: bool = True
) -> torch.Tensor:
    """`log m_j - log c_j` (C,), to be added to the logits of negatives; `log m_j` alone without correction.

    `positives` and `stream` are the draws of both sources over all processes. Raises ValueError where a candidate
    is not expected at all: its share and its probability are 0.
    """
    if not correct:
        return items.counts.log()
    expected = positives * items.share + stream * items.probability
    if bool((expected <= 0).any()):
        item = int(items.ids[: items.candidates][expected <= 0][0])
        raise ValueError(f"item {item} is a candidate, but its share and stream probability are 0; expected more")
    return items.counts.log() - expected.log()


def _first_of(inverse: torch.Tensor, groups: int) -> torch.Tensor:
    """The first position of each group."""
    order = torch.argsort(inverse, stable=True)
    sizes = torch.bincount(inverse, minlength=groups)
    return order[sizes.cumsum(0) - sizes]


def _rows_of(batch: Batch, first: torch.Tensor) -> torch.Tensor:
    """Grain ids of items by their position in (slots, stream, own negatives), without joining the arrays."""
    _, negatives = batch.own_negatives()
    width = batch.items.shape[-1]
    sources = [batch.items.reshape(-1, width), batch.stream_items, negatives.reshape(-1, width)]
    rows, start = sources[0].new_empty((len(first), width)), 0
    for source in sources:
        inside = (first >= start) & (first < start + len(source))
        rows[inside] = source[first[inside] - start]
        start += len(source)
    return rows


__all__ = ["DistinctItems", "distinct_items", "log_candidate_weights"]
