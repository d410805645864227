"""Learned-weight pooling of token rows: many ragged bags, one table, a sparse gradient.

A step touches a small part of the table, so the gradient of a table holds the touched rows alone, sorted and
each once (a coalesced sparse tensor). The backward pass of a bag sum is itself a bag sum, over the bags that
hold each row; written that way it is several times faster on a CPU than torch's own, and its order of summation,
hence its bits, depends on the ids only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mmse_model.layout import PADDING


@dataclass(frozen=True)
class Bags:
    """Ragged bags of table rows: `ids` (n,) int64 end to end, `lengths` (bags,) int64; padding is left out."""

    ids: torch.Tensor
    lengths: torch.Tensor

    @staticmethod
    def of(ids: torch.Tensor, columns: Sequence[slice]) -> Bags:
        """One bag for each row of `ids` (N, L) and each of the G `columns`, row by row: N * G bags."""
        picked = torch.cat([ids[:, c] for c in columns], 1)
        kept = picked != PADDING
        lengths = [part.sum(1) for part in kept.split([c.stop - c.start for c in columns], 1)]
        return Bags(picked[kept].long(), torch.stack(lengths, 1).flatten())

    @staticmethod
    def joined(parts: Sequence[Bags]) -> Bags:
        """All bags of several, in order."""
        return Bags(torch.cat([p.ids for p in parts]), torch.cat([p.lengths for p in parts]))


@dataclass(frozen=True)
class Words:
    """Texts as table rows in their order: `ids` (n,) int64 without padding, `there` (N, L) bool says where each stands."""

    ids: torch.Tensor
    there: torch.Tensor

    @staticmethod
    def of(ids: torch.Tensor) -> Words:
        """Of ids (N, L), 0 is padding."""
        there = ids != PADDING
        return Words(ids[there].long(), there)

    def spread(self, vectors: torch.Tensor) -> torch.Tensor:
        """The vectors (n, W) of the ids in their places, (N, L, W), zero elsewhere."""
        empty = vectors.new_zeros(self.there.numel(), vectors.shape[1])
        return empty.index_copy(0, self.there.flatten().nonzero().squeeze(1), vectors).view(*self.there.shape, -1)


class _BagSum(torch.autograd.Function):
    """Sums of rows (rows, W) by bag: (bags, W)."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(ids, lengths)
        ctx.rows = len(rows)
        return F.embedding_bag(ids, rows, lengths.cumsum(0) - lengths, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        ids, lengths = ctx.saved_tensors
        holders = torch.repeat_interleave(lengths)[torch.argsort(ids, stable=True)]
        counts = torch.bincount(ids, minlength=ctx.rows)
        summed = F.embedding_bag(holders, gradients[0].contiguous(), counts.cumsum(0) - counts, mode="sum")
        return summed, None, None


class _PickRows(torch.autograd.Function):
    """Distinct, ascending rows of a table; the table's gradient is sparse and already coalesced."""

    @staticmethod
    def forward(ctx: Any, table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(rows)
        ctx.shape = table.shape
        return table.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (rows,) = ctx.saved_tensors
        return row_gradient(rows, gradients[0], ctx.shape), None


def row_gradient(rows: torch.Tensor, values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """A sparse gradient from distinct, ascending `rows` (n,) and their `values` (n, W)."""
    return torch.sparse_coo_tensor(rows[None], values, shape, is_coalesced=True, check_invariants=False)


def touched_rows(gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (n,) and values (n, W) of a sparse gradient made here.

    Autograd forgets that it is coalesced when it stores a gradient; coalescing again would sort it again.
    """
    return gradient._indices()[0], gradient._values()


class TokenTable(nn.Module):
    """The embedding table of all grains and both towers, with one learned weight per token.

    The pooled vector of a bag is `sum_t exp(a_t) E_t / sum_t exp(a_t)` (our reading; learned token weights, #5);
    a starts at 0, so that training begins from the mean.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(rows, width) / width**0.5)
        self.log_weights = nn.Parameter(torch.zeros(rows, 1))

    def forward(self, bags: Bags) -> tuple[torch.Tensor, torch.Tensor]:
        """Pooled vectors (bags, W), zero for an empty bag, and whether each bag holds a token (bags,) bool."""
        pooled, present, _ = self.read(bags, [])
        return pooled, present

    def read(self, bags: Bags, texts: Sequence[Words]) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """The same, and of each of `texts` the vectors (N, L, W) of its words. All rows are picked once, for one gradient."""
        rows, places = _distinct(torch.cat([bags.ids, *(t.ids for t in texts)]), len(self.vectors))
        ids, *own = places.split([len(bags.ids), *(len(t.ids) for t in texts)])
        weights, vectors = _PickRows.apply(self.log_weights, rows).exp(), _PickRows.apply(self.vectors, rows)
        sums = _BagSum.apply(torch.cat([vectors * weights, weights], 1), ids, bags.lengths)
        present = bags.lengths > 0
        total = sums[:, -1:].masked_fill(~present[:, None], 1.0)
        words = [text.spread(vectors.index_select(0, at)) for text, at in zip(texts, own)]
        return sums[:, :-1] / total, present, words


def _distinct(ids: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The distinct ids, ascending, and the position of each id among them; linear in ids and rows."""
    seen = torch.zeros(rows, dtype=torch.bool, device=ids.device)
    seen[ids] = True
    position = seen.cumsum(0) - 1
    return seen.nonzero().squeeze(1), position[ids]


__all__ = ["Bags", "TokenTable", "Words", "row_gradient", "touched_rows"]
