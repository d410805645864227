"""Training: epochs over batches, checkpoints after each and within, the best epoch's weights at the end.

A run is a pure function of (data, configuration, seed, threads): killed and started again it takes up the last
checkpoint and goes through the same losses as if nothing had happened. The weights that are kept are those of the
epoch with the highest validation recall of the furthest stage; of equals, the earlier. `train.patience` ends a run early.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from tqdm import tqdm

from mmse_model.batch import Batch
from mmse_model.checkpoints import Checkpoint, Checkpoints
from mmse_model.config import TrainSettings
from mmse_model.events import Events
from mmse_model.loss import Objective, negatives_per_query
from mmse_model.optimiser import RowAdam, clip_gradients, learning_rate
from mmse_model.progress import Progress, describe, without_rise
from mmse_model.ranks import Ranks
from mmse_model.towers import TwoTower


class Loader(Protocol):
    """Where batches come from: mmse_model.batches.TupleLoader."""

    def steps(self, epoch: int) -> int:
        """The number of batches in an epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch, a pure function of its 0-based number."""

    def state_dict(self) -> dict[str, Any]:
        """The position in the data, as plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up a position."""


class Measure(Protocol):
    """What is measured after each epoch: mmse_model.validation.Validation."""

    selects: str

    def measure(self, model: TwoTower) -> dict[str, float]:
        """Figures by name; `selects` is the one that picks the best epoch."""


class DivergedError(ArithmeticError):
    """The loss is no longer a number."""


class Trainer:
    """Trains `model`; `report` gets one line for people per epoch."""

    def __init__(
        self, model: TwoTower, objective: Objective, loader: Loader, settings: TrainSettings, checkpoints: Checkpoints,
        validation: Measure | None = None, report: Callable[[str], None] = print, ranks: Ranks | None = None,
        events: Events | None = None,
    ) -> None:
        self.model, self.objective, self.loader, self.settings = model, objective, loader, settings
        self.checkpoints, self.validation, self.report = checkpoints, validation, report
        self.ranks, self.events = ranks or Ranks(), events or Events(None)
        self.device = model.empty.device
        self.optimiser = RowAdam(dict(model.named_parameters()), settings.weight_decay)
        self.history: list[dict[str, Any]] = []
        self.step, self.begun = 0, Progress()
        self.total_steps = sum(loader.steps(epoch) for epoch in range(settings.epochs))
        self.introduce = self.ranks.first

    def fit(self) -> list[dict[str, Any]]:
        """Trains to the last epoch, from the last checkpoint where there is one; the best weights are in the
        checkpoints then.

        Returns one record per epoch: mean losses, validation figures, seconds, tuples per second, share of waiting.
        """
        self._resume()
        with self.events.from_step(self.step):
            while not self.finished:
                self._whole_epoch(len(self.history))
        return self.history

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done, or the validation has not risen for `train.patience` epochs."""
        stale = self.validation is not None and without_rise(self._scores(), self.settings.patience)
        return stale or len(self.history) >= self.settings.epochs

    @property
    def best_epoch(self) -> int:
        """1-based number of the epoch whose weights are kept; the last where nothing is validated."""
        if self.validation is None:
            return len(self.history)
        scores = self._scores()
        return scores.index(max(scores)) + 1

    def _scores(self) -> list[float]:
        return [record["validation"][self.validation.selects] for record in self.history]

    def _whole_epoch(self, epoch: int) -> None:
        """Trains one epoch, measures, writes its checkpoint and says how it went."""
        progress = self._epoch(epoch)
        speed = progress.speed()  # before the validation, which is no training
        record = {"epoch": epoch + 1, **progress.means(), "validation": self._validate(), **speed}
        self.history.append(record)
        self.begun = Progress()
        self.events.epoch(self.step, record)
        self._keep()
        if self.ranks.first:
            self.report(describe(record))
            if self.finished and len(self.history) < self.settings.epochs:
                self.report(f"training: stops after epoch {epoch + 1}, epoch {self.best_epoch} was the best one")

    def _epoch(self, epoch: int) -> Progress:
        progress, self.begun = self.begun, Progress()
        if not progress.batches:
            progress.started = time.perf_counter()
        batches = self.loader.epoch(epoch)
        bar = tqdm(
            initial=progress.batches, total=self.loader.steps(epoch), desc=f"epoch {epoch + 1}/{self.settings.epochs}",
            unit="step", disable=None if self.ranks.first else True, leave=False, mininterval=1.0,
        )
        with bar, deterministic(self.device):
            while True:
                asked = time.perf_counter()
                batch = next(batches, None)
                if batch is None:
                    return progress
                waited = time.perf_counter() - asked
                if self.introduce:
                    self._introduce(batch)
                progress.add(batch, self._step(batch), waited)
                speed = progress.speed()
                text = f"{speed['tuples_per_second']:,.0f} tuples/s, {speed['wait_share']:.0%} waiting"
                bar.set_postfix_str(text, refresh=False)
                bar.update()
                if self._due() and progress.batches < self.loader.steps(epoch):
                    self._save(progress)

    def _due(self) -> bool:
        """Whether a checkpoint within the epoch is to be written after this step."""
        return self.settings.checkpoint_steps > 0 and self.step % self.settings.checkpoint_steps == 0

    def _step(self, batch: Batch) -> dict[str, float]:
        with autocast(self.device):
            loss = self.objective(self.model, batch.to(self.device), self.ranks, self.step / self.total_steps)
        if not math.isfinite(loss.parts["loss"]):
            raise DivergedError(
                f"training: loss = {loss.parts['loss']} at step {self.step}; expected a finite number, "
                f"lower train.learning_rate = {self.settings.learning_rate}"
            )
        loss.total.backward()
        self.ranks.add_gradients(self.model.parameters())
        norm = clip_gradients(self.model.parameters(), self.settings.gradient_clip)
        rate = learning_rate(self.step, self.total_steps, self.settings.learning_rate, self.settings.warmup_steps)
        self.optimiser.step(rate)
        self.step += 1
        figures = {**loss.parts, "gradient_norm": norm}
        self.events.step(self.step, {**figures, "learning_rate": rate})
        return figures

    def _introduce(self, batch: Batch) -> None:
        """Prints, once, the size of the run and what each query is compared with, counted on a batch."""
        self.introduce = False
        counts = negatives_per_query(batch, self.objective)
        share = self.settings.objective.hard_negatives.warmup_share
        hard = f", {counts['hard']:.1f} hard after {share:.0%} of the steps" if counts["hard"] else ""
        parameters = sum(p.numel() for p in self.model.parameters())
        self.report(
            f"training: {parameters:,} parameters, {self.total_steps:,} steps in {self.settings.epochs} epochs, "
            f"{self.ranks.world} x {batch.rows:,} tuples a step; negatives per query and process: "
            f"{counts['in_batch']:,.0f} in-batch, "
            f"{counts['stream']:,.0f} stream{hard}; per title pair: {counts['title']:,.0f}"
        )

    def _validate(self) -> dict[str, float]:
        """Validation figures, the same on every rank: all hold the same weights."""
        if self.validation is None:
            return {}
        self.model.eval()
        figures = self.validation.measure(self.model)
        self.model.train()
        return figures

    def _keep(self) -> None:
        """Writes the checkpoint of the epoch that just ended, and the weights where it is the best so far."""
        if self.ranks.first and self.best_epoch == len(self.history):
            self.checkpoints.save_best(self.model.state_dict())
        self._save(self.begun)

    def _save(self, progress: Progress) -> None:
        """Writes a checkpoint; `progress` is that of the epoch that is under way. All ranks wait for it."""
        if self.ranks.first:
            weights = self.model.state_dict()
            tensors = {f"model.{n}": t for n, t in weights.items()}
            tensors |= {f"optimiser.{n}": t for n, t in self.optimiser.tensors().items()}
            tensors["rng"] = torch.get_rng_state()
            state = {
                "step": self.step, "history": self.history, "best": self.best_epoch if self.history else 0,
                "finished": self.finished, "epoch": progress.state_dict(), "data": self.loader.state_dict(),
            }
            self.checkpoints.save(self.step, Checkpoint(tensors, state))
        self.ranks.wait()

    def _resume(self) -> None:
        checkpoint = self.checkpoints.latest()
        if checkpoint is None:
            return
        self.model.load_state_dict(checkpoint.part("model"))
        self.optimiser.load(checkpoint.part("optimiser"))
        torch.set_rng_state(checkpoint.tensors["rng"])
        self.step, self.history = checkpoint.state["step"], checkpoint.state["history"]
        self.begun = Progress.restored(checkpoint.state["epoch"])
        self.loader.load_state_dict(checkpoint.state["data"])
        if self.ranks.first:
            within = f", {self.begun.batches:,} steps into the next" if self.begun.batches else ""
            self.report(f"training: goes on after epoch {len(self.history)} of {self.settings.epochs}{within}")


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where a CUDA device has it; nothing on a CPU."""
    cuda = device.type == "cuda"
    return torch.autocast("cuda", torch.bfloat16, enabled=cuda and torch.cuda.is_bf16_supported())


class deterministic:
    """Deterministic kernels inside the block; on CUDA, where a few operations have none, a warning instead."""

    def __init__(self, device: torch.device) -> None:
        self.warn_only = device.type == "cuda"

    def __enter__(self) -> None:
        self.before = torch.are_deterministic_algorithms_enabled()
        self.before_warned = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.use_deterministic_algorithms(True, warn_only=self.warn_only)

    def __exit__(self, *_: object) -> None:
        torch.use_deterministic_algorithms(self.before, warn_only=self.before_warned)


__all__ = ["DivergedError", "Loader", "Measure", "Trainer", "autocast"]
