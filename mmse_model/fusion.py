"""From one vector per grain to one vector per query or item: post-fusion and pre-fusion.

Post-fusion (our reading of arXiv 2303.11009; #2): every grain gives a cosine of its own and

    s(q, i) = sum_g w_g(q) <u_g(q), v_g(i)>,    w_g(q) >= 0, sum_g w_g(q) = 1,

with weights from the query only. With G grains that is the inner product of [sqrt(G) w_g u_g] and
[v_g / sqrt(G)]: one nearest-neighbour index serves it exactly. Every item vector has unit norm, so that
the order by L2 distance is the order by score.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class PostFusion(nn.Module):
    """Concatenates grain vectors; a head over the query's pooled tokens weighs them."""

    def __init__(self, grains: int, width: int, context: int) -> None:
        super().__init__()
        self.grains = grains
        self.weigh = nn.Linear(context + grains, grains)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def weights(self, context: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Grain weights (B, G): a softmax over the grains that are `present` (B, G); zero where none is.

        `context` (B, C) describes the query; which grains are present is part of it.
        """
        logits = self.weigh(torch.cat([context, present.to(context.dtype)], 1))
        masked = torch.softmax(logits.masked_fill(~present, torch.finfo(logits.dtype).min), 1)
        return masked * present

    def query(self, vectors: torch.Tensor, context: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, G, d) unit vectors, zero where a grain is empty -> (B, G * d)."""
        weighted = vectors * self.weights(context, present)[:, :, None]
        return (weighted * self.grains**0.5).flatten(1)

    def item(self, vectors: torch.Tensor) -> torch.Tensor:
        """(N, G, d) unit vectors -> (N, G * d), unit norm."""
        return (vectors / self.grains**0.5).flatten(1)


class PreFusion(nn.Module):
    """Concatenates grain vectors, projects, and leaves one cosine: the ablation's other arm."""

    def __init__(self, grains: int, width: int, context: int) -> None:
        super().__init__()
        size = grains * width
        self.project_query = nn.Linear(size, size, bias=False)
        self.project_item = nn.Linear(size, size, bias=False)
        nn.init.orthogonal_(self.project_query.weight)
        with torch.no_grad():
            self.project_item.weight.copy_(self.project_query.weight)

    def query(self, vectors: torch.Tensor, context: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, G, d), zero where a grain is empty -> (B, G * d), unit norm; zero where every grain is empty."""
        return F.normalize(self.project_query(vectors.flatten(1)), dim=1)

    def item(self, vectors: torch.Tensor) -> torch.Tensor:
        """(N, G, d) -> (N, G * d), unit norm."""
        return F.normalize(self.project_item(vectors.flatten(1)), dim=1)


FUSIONS = {"post": PostFusion, "pre": PreFusion}
