"""One batch of training data: tuples and item stream entries, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

EMPTY = -1
"""The dense id of a slot that holds no item."""


@dataclass(frozen=True)
class Batch:
    """B tuples with S stage slots, and R entries of the item stream.

    Slots are ordered by stage, weakest first; an item stands in the slot of its furthest stage only.
    """

    query: torch.Tensor
    """(B, Q) int32 query grain ids, 0 is padding."""
    dense_ids: torch.Tensor
    """(B, S) int64 items by slot, -1 is empty."""
    items: torch.Tensor
    """(B, S, I) int32 item grain ids, 0 is padding."""
    shares: torch.Tensor
    """(B, S, 2) float32: share among the positives of the training tuples, probability of one stream draw."""
    known_positives: torch.Tensor
    """(B, P) int64 positives of the same normalised query, -1 is empty."""
    stream_ids: torch.Tensor
    """(R,) int64."""
    stream_items: torch.Tensor
    """(R, I) int32 item grain ids."""
    stream_title_queries: torch.Tensor
    """(R, Q) int32: a part of the title as a pseudo-query."""
    stream_share: torch.Tensor
    """(R,) float32 share among the positives of the training tuples."""
    stream_probability: torch.Tensor
    """(R,) float32 probability of one stream draw."""
    negative_ids: torch.Tensor | None = None
    """(B, N) int64 items of each row alone, random ones first, then hard ones, -1 is empty; None where tuples have none."""
    negatives: torch.Tensor | None = None
    """(B, N, I) int32 item grain ids."""

    @property
    def rows(self) -> int:
        """B."""
        return len(self.query)

    @property
    def own(self) -> int:
        """N: own negatives of a row."""
        return 0 if self.negative_ids is None else self.negative_ids.shape[1]

    def own_negatives(self) -> tuple[torch.Tensor, torch.Tensor]:
        """ids (B, N) and items (B, N, I); N is 0 where there are none."""
        if self.negative_ids is None or self.negatives is None:
            return self.dense_ids[:, :0], self.items[:, :0]
        return self.negative_ids, self.negatives

    def first_own(self, count: int) -> Batch:
        """The same batch with the first `count` own negatives of each row."""
        if self.negative_ids is None or self.negatives is None:
            return self
        return replace(self, negative_ids=self.negative_ids[:, :count], negatives=self.negatives[:, :count])

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{n: t if t is None else t.to(device, non_blocking=True) for n, t in tensors.items()})
