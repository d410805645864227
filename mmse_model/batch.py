"""One batch of training data: tuples and item stream entries, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields

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

    @property
    def rows(self) -> int:
        """B."""
        return len(self.query)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})
