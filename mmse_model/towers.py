"""Two towers over one token table: a query vector and an item vector whose inner product is the score.

Tokens are pooled grain by grain with learned weights, each grain of each side passes a small residual network
of its own, every grain vector is scaled to unit norm, and mmse_model.fusion makes one vector of them. Recurrent
and attention encoders add little here (arXiv 2006.02282, 1907.00937) and cost a lot: the transformer's grain
(mmse_model.sequence) is there only where `model.transformer` asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from mmse_model.config import SEQUENCE_GRAIN, ModelSettings
from mmse_model.fusion import FUSIONS
from mmse_model.layout import GrainLayout
from mmse_model.pooling import Bags, TokenTable, Words
from mmse_model.sequence import SequenceEncoder
from schemas.vocabulary import ATTRIBUTE_GRAIN, WORD_GRAIN

Read = tuple[torch.Tensor, torch.Tensor]
"""A grain of some texts: vectors (N, W), and (N,) bool whether a text has it."""
APPEAL_GRAINS = ("word", "trigram")
"""Text grains from which a query's attribute vector is made: they say which brand, shop, price appeals."""


class Head(nn.Module):
    """`P x + W2 gelu(W1 x + b)`: a projection with a residual network of `hidden` units; 0 leaves the projection."""

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, outputs, bias=False)
        nn.init.orthogonal_(self.project.weight)
        self.residual: nn.Module | None = None
        if hidden:
            self.residual = nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs) -> (N, outputs)."""
        return self.project(x) if self.residual is None else self.project(x) + self.residual(x)


class TwoTower(nn.Module):
    """Query tower and item tower.

    The G grains share the dimension equally: D / G components each. A grain without a token has a learned
    unit vector on the item side, and weight zero on the query side, where the other weights are renormalised.
    A query without any token is the zero vector. Raises ValueError where D cannot be split.
    """

    def __init__(self, layout: GrainLayout, settings: ModelSettings) -> None:
        super().__init__()
        self.layout, self.settings = layout, settings
        self.grains, self.pooled = settings.parts, settings.grains
        self.text = [g for g in self.pooled if g != ATTRIBUTE_GRAIN]
        self.appeal = [n for n, g in enumerate(self.text) if g in APPEAL_GRAINS]
        size, token = settings.grain_dimension, settings.token_dimension
        self.table = TokenTable(layout.table_rows, token)
        inputs = {g: token * (len(self.appeal) if g == ATTRIBUTE_GRAIN else 1) for g in self.grains}
        self.query_heads = nn.ModuleDict({g: Head(inputs[g], size, settings.hidden) for g in self.grains})
        self.item_heads = nn.ModuleDict({g: Head(token, size, settings.hidden) for g in self.grains})
        self.empty = nn.Parameter(torch.randn(len(self.grains), size))
        self.fusion = FUSIONS[settings.fusion](len(self.grains), size, token * len(self.text))
        self.sequence: SequenceEncoder | None = None
        if settings.transformer.layers:
            places = max(side[WORD_GRAIN].stop - side[WORD_GRAIN].start for side in (layout.query, layout.item))
            self.sequence = SequenceEncoder(places, token, settings.transformer)
        self._start_lexical()

    @property
    def dimension(self) -> int:
        """D."""
        return self.settings.dimension

    def forward(self, queries: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids (B, Q) and (N, I) -> vectors (B, D) and (N, D), the token table read once for both."""
        query_bags, item_bags = self._query_bags(queries), self._item_bags(items)
        words = [*self._words(queries, self.layout.query), *self._words(items, self.layout.item)]
        pooled, present, vectors = self.table.read(Bags.joined([query_bags, item_bags]), words)
        cut, read = len(query_bags.lengths), list(zip(vectors, words))
        return self._queries(pooled[:cut], present[:cut], read[:1]), self._items(pooled[cut:], present[cut:], read[1:])

    def encode_queries(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (B, Q) -> (B, D); the inner product with an item vector is the score."""
        words = self._words(ids, self.layout.query)
        pooled, present, vectors = self.table.read(self._query_bags(ids), words)
        return self._queries(pooled, present, list(zip(vectors, words)))

    def encode_items(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (N, I) -> (N, D), unit norm."""
        words = self._words(ids, self.layout.item)
        pooled, present, vectors = self.table.read(self._item_bags(ids), words)
        return self._items(pooled, present, list(zip(vectors, words)))

    def grain_vectors(
        self, pooled: torch.Tensor, present: torch.Tensor, sequence: Read | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pooled text grains (B, T, W) of queries -> unit vectors (B, G, d), zero where empty, and (B, G) bool.

        `sequence` is the transformer's (B, W) and (B,) bool, where there is one.
        """
        vectors, found = [], []
        sources = {g: (pooled[:, n], present[:, n]) for n, g in enumerate(self.text)}
        sources[ATTRIBUTE_GRAIN] = pooled[:, self.appeal].flatten(1), present[:, self.appeal].any(1)
        if sequence is not None:
            sources[SEQUENCE_GRAIN] = sequence
        for grain in self.grains:
            source, there = sources[grain]
            vectors.append(F.normalize(self.query_heads[grain](source), dim=1) * there[:, None])
            found.append(there)
        return torch.stack(vectors, 1), torch.stack(found, 1)

    def _queries(self, pooled: torch.Tensor, present: torch.Tensor, read: list[tuple[torch.Tensor, Words]]) -> torch.Tensor:
        count = len(self.text)
        text, there = pooled.view(-1, count, pooled.shape[1]), present.view(-1, count)
        vectors, found = self.grain_vectors(text, there, *self._sequences(read))
        return self.fusion.query(vectors, text.flatten(1), found)

    def _items(self, pooled: torch.Tensor, present: torch.Tensor, read: list[tuple[torch.Tensor, Words]]) -> torch.Tensor:
        count = len(self.pooled)
        parts, there = pooled.view(-1, count, pooled.shape[1]), present.view(-1, count)
        for vectors, some in self._sequences(read):
            parts, there = torch.cat([parts, vectors[:, None]], 1), torch.cat([there, some[:, None]], 1)
        encoded = torch.stack([self.item_heads[g](parts[:, n]) for n, g in enumerate(self.grains)], 1)
        filled = torch.where(there[:, :, None], encoded, self.empty)
        return self.fusion.item(F.normalize(filled, dim=2))

    def _words(self, ids: torch.Tensor, columns: dict[str, slice]) -> list[Words]:
        """The words of each text in their order, for the transformer; none without one."""
        return [Words.of(ids[:, columns[WORD_GRAIN]])] if self.sequence is not None else []

    def _sequences(self, read: list[tuple[torch.Tensor, Words]]) -> list[Read]:
        return [self.sequence(vectors, words.there) for vectors, words in read] if self.sequence is not None else []

    def _query_bags(self, ids: torch.Tensor) -> Bags:
        return Bags.of(ids, _columns(self.layout.query, self.text))

    def _item_bags(self, ids: torch.Tensor) -> Bags:
        return Bags.of(ids, _columns(self.layout.item, self.pooled))

    def _start_lexical(self) -> None:
        """Both sides of a text grain begin with one projection: even before training, shared tokens score high."""
        with torch.no_grad():
            for grain in (g for g in self.grains if g != ATTRIBUTE_GRAIN):
                self.item_heads[grain].project.weight.copy_(self.query_heads[grain].project.weight)


def _columns(slices: dict[str, slice], grains: Sequence[str]) -> list[slice]:
    return [slices[g] for g in grains]


__all__ = ["Head", "TwoTower"]
