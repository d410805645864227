"""The words of a text in their order, through a small transformer encoder: a grain that bags of tokens cannot give.

Our choice (#5): layers with the norm before each part (arXiv 2002.04745), learned positions, the mean over the words. Every
row is computed, an empty one as well: what is multiplied together depends on the number of rows alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mmse_model.config import TransformerSettings


class Layer(nn.Module):
    """Self-attention, then a hidden layer, each added to its input. Keys have no bias: a softmax would not see it."""

    def __init__(self, width: int, settings: TransformerSettings) -> None:
        super().__init__()
        self.heads = settings.heads
        self.before_attention, self.before_hidden = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.join = nn.Linear(width, width, bias=False)
        self.hidden = nn.Sequential(
            nn.Linear(width, settings.feed_forward), nn.GELU(), nn.Linear(settings.feed_forward, width, bias=False)
        )

    def forward(self, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """(N, L, W) and the places that are attended to, (N, L) bool with at least one a row -> (N, L, W)."""
        rows, length, width = x.shape
        projected = self.project(self.before_attention(x)).view(rows, length, 3, self.heads, width // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None, :])
        x = x + self.join(found.transpose(1, 2).reshape(rows, length, width))
        return x + self.hidden(self.before_hidden(x))


class SequenceEncoder(nn.Module):
    """Token vectors in their order -> one vector a text, for texts of at most `places` words."""

    def __init__(self, places: int, width: int, settings: TransformerSettings) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(places, width) / width**0.5)
        self.layers = nn.ModuleList(Layer(width, settings) for _ in range(settings.layers))

    def forward(self, tokens: torch.Tensor, there: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, L, W) and (N, L) bool, the places with a word -> (N, W), zero without any, and (N,) bool, whether there is one."""
        some = there.any(1)
        seen = there | ~some[:, None]
        x = tokens + self.positions[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, seen)
        count = there.sum(1, keepdim=True).clamp_min(1)
        return (x * there[:, :, None]).sum(1) / count, some


__all__ = ["SequenceEncoder"]
