"""Adam whose step touches only the rows that a batch touched, a clip over dense and sparse gradients, a schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from mmse_model.pooling import touched_rows

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class RowAdam:
    """Adam (arXiv 1412.6980) with decoupled weight decay; a sparse gradient moves its rows alone.

    Moments of rows that a batch does not touch stay as they are, so that a step costs what the batch holds, not
    what the vocabulary holds. The bias correction counts the steps of the whole run.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], weight_decay: float) -> None:
        self.parameters = dict(parameters)
        self.weight_decay = weight_decay
        self.first = {name: torch.zeros_like(p, requires_grad=False) for name, p in self.parameters.items()}
        self.second = {name: torch.zeros_like(p, requires_grad=False) for name, p in self.parameters.items()}
        self.steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update of every parameter that has a gradient, at learning rate `rate`; gradients are dropped."""
        self.steps += 1
        for name, parameter in self.parameters.items():
            gradient, parameter.grad = parameter.grad, None
            if gradient is None:
                continue
            if not gradient.is_sparse:
                self._update(parameter, self.first[name], self.second[name], gradient, rate)
                continue
            rows, values = touched_rows(gradient)
            picked = [t.index_select(0, rows) for t in (parameter, self.first[name], self.second[name])]
            self._update(*picked, values, rate)
            for whole, part in zip((parameter, self.first[name], self.second[name]), picked):
                whole.index_copy_(0, rows, part)

    def _update(
        self, values: torch.Tensor, first: torch.Tensor, second: torch.Tensor, gradient: torch.Tensor, rate: float
    ) -> None:
        """Adam's update in place."""
        first.mul_(BETAS[0]).add_(gradient, alpha=1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        if self.weight_decay:
            values.mul_(1 - rate * self.weight_decay)
        size = rate * math.sqrt(1 - BETAS[1] ** self.steps) / (1 - BETAS[0] ** self.steps)
        values.addcdiv_(first, second.sqrt().add_(EPSILON), value=-size)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The whole state, by name, for a checkpoint."""
        state = {f"first.{n}": t for n, t in self.first.items()} | {f"second.{n}": t for n, t in self.second.items()}
        return {**state, "steps": torch.tensor(self.steps)}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Takes back what `tensors` gave."""
        for name in self.parameters:
            self.first[name].copy_(tensors[f"first.{name}"])
            self.second[name].copy_(tensors[f"second.{name}"])
        self.steps = int(tensors["steps"])


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], largest: float) -> float:
    """Scales all gradients so that their joint norm is at most `largest`; returns the norm before."""
    values = [touched_rows(p.grad)[1] if p.grad.is_sparse else p.grad for p in parameters if p.grad is not None]
    norm = float(torch.stack([torch.linalg.vector_norm(v) for v in values]).norm())
    if norm > largest:
        for v in values:
            v.mul_(largest / norm)
    return norm


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """The rate of 0-based `step` of `steps`: linear warm-up over `warmup` steps, then a cosine to 0 after the last.

    A pure function of the step, so that a resumed run needs no further state.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


__all__ = ["RowAdam", "clip_gradients", "learning_rate"]
