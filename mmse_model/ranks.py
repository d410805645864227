"""What several training processes exchange; one process exchanges nothing.

The loss of a step is a sum over the rows of all ranks, divided by counts over all ranks. Each rank's share of that
sum depends on the vectors of all, so vectors are gathered WITH gradient, and parameter gradients are added, not
averaged: W ranks of B rows follow one process with W * B rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from mmse_model.pooling import row_gradient, touched_rows


class Ranks:
    """The processes of one training run; `Ranks()` outside torch.distributed is one process."""

    def __init__(self) -> None:
        joined = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if joined else 0
        self.world = dist.get_world_size() if joined else 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def wait(self) -> None:
        """Returns when every rank has come here."""
        if self.world > 1:
            dist.barrier()

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over ranks of a tensor of equal shape; without gradient."""
        summed = values.detach().clone()
        if self.world > 1:
            dist.all_reduce(summed)
        return summed

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (n_r, ...) of every rank, one rank after the other; gradients flow back to where rows came from."""
        return rows if self.world == 1 else _Gather.apply(rows, self)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces each gradient by its sum over ranks, in place; sparse ones stay sparse."""
        if self.world == 1:
            return
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None:
                parameter.grad = gradient = torch.zeros_like(parameter)
            if gradient.is_sparse:
                parameter.grad = self._add_sparse(gradient)
            else:
                dist.all_reduce(gradient)

    def _add_sparse(self, gradient: torch.Tensor) -> torch.Tensor:
        own, own_values = touched_rows(gradient)
        rows = torch.unique(self._gather_plain(own))
        values = own_values.new_zeros(len(rows), *gradient.shape[1:])
        values[torch.searchsorted(rows, own)] = own_values
        dist.all_reduce(values)
        return row_gradient(rows, values, gradient.shape)

    def _sizes(self, rows: torch.Tensor) -> list[int]:
        sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(self.world)]
        dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
        return [int(s) for s in sizes]

    def _gather_plain(self, rows: torch.Tensor) -> torch.Tensor:
        sizes = self._sizes(rows)
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, sizes)])


@contextmanager
def process_group() -> Iterator[Ranks]:
    """Joins the other processes that torchrun started; alone otherwise."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Ranks()
    finally:
        dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """All-gather whose backward pass adds the gradients that all ranks have for this rank's rows."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, ranks: Ranks) -> torch.Tensor:
        ctx.start, ctx.count = sum(ranks._sizes(rows)[: ranks.rank]), len(rows)
        return ranks._gather_plain(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        summed = gradients[0].contiguous().clone()
        dist.all_reduce(summed)
        return summed[ctx.start : ctx.start + ctx.count], None


__all__ = ["Ranks", "process_group"]
