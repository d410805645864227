"""The peer of the training benchmark: two towers as one writes them with plain torch, trained on clicks alone.

`nn.EmbeddingBag` means over the ids of each grain, one hidden layer, a cosine; softmax of each query's click against the
clicks of the other rows; Adam, SparseAdam for the table. Sizes are those of the model under test: rows and width of the
table, hidden units, dimension, batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from mmse_model.batch import EMPTY, Batch
from mmse_model.config import ModelSettings
from mmse_model.layout import PADDING, GrainLayout

TEMPERATURE = 0.08


class Tower(nn.Module):
    """Ids (N, L) -> unit vectors (N, D)."""

    def __init__(self, table: nn.EmbeddingBag, columns: Sequence[slice], settings: ModelSettings) -> None:
        super().__init__()
        self.table, self.columns = table, columns
        width = len(columns) * settings.token_dimension
        self.layers = nn.Sequential(nn.Linear(width, settings.hidden), nn.GELU(), nn.Linear(settings.hidden, settings.dimension))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """One bag for each grain, side by side, then the hidden layer."""
        return F.normalize(self.layers(torch.cat([self.table(ids[:, c]) for c in self.columns], 1)), dim=1)


class PlainTraining:
    """The model, its optimisers and its step."""

    def __init__(self, layout: GrainLayout, settings: ModelSettings, clicked: Sequence[int], rate: float) -> None:
        torch.manual_seed(7)
        table = nn.EmbeddingBag(layout.table_rows, settings.token_dimension, mode="mean", padding_idx=PADDING, sparse=True)
        self.queries = Tower(table, list(layout.query.values()), settings)
        self.items = Tower(table, list(layout.item.values()), settings)
        dense = [*self.queries.layers.parameters(), *self.items.layers.parameters()]
        self.optimisers = [torch.optim.SparseAdam(list(table.parameters()), lr=rate), torch.optim.Adam(dense, lr=rate)]
        self.clicked = torch.tensor(clicked)

    def step(self, batch: Batch) -> float:
        """One update on each row's weakest click; an order is a click, too. Rows without one are left out."""
        there = batch.dense_ids[:, self.clicked] != EMPTY
        rows = there.any(1).nonzero().squeeze(1)
        slots = self.clicked[there[rows].int().argmax(1)]
        logits = self.queries(batch.query[rows]) @ self.items(batch.items[rows, slots]).T / TEMPERATURE
        loss = F.cross_entropy(logits, torch.arange(len(rows)))
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in self.optimisers:
            optimiser.step()
        return loss.item()
